"""Write the commands' output: for terminals and pipes that cannot encode every character, and as
progress bars."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
_ESCAPES = "tongban.json_escapes"


def write_everything() -> None:
    """Replace characters that the encoding of stdout or stderr lacks by `\\uXXXX`.

    With `PYTHONIOENCODING=ascii`, or in a locale of Latin letters, a province's name would
    otherwise end a command with a traceback. The escapes are those of JSON (RFC 8259, section 7), a
    pair for a character beyond U+FFFF, so that `--json` stays valid JSON with the same content.
    Idempotent.
    """
    codecs.register_error(_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


@contextmanager
def progress_bars(
    *columns: ProgressColumn, description: str = "{task.description}"
) -> Iterator[Progress]:
    """Show progress bars on stderr while the block runs, if stderr is a terminal.

    Args:
        columns: shown between a bar and the time that it has run for.
        description: format of the text before a bar.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn(description),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end
