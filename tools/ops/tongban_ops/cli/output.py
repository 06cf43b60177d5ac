"""Make the commands' output safe for terminals and pipes that cannot encode every character."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Annotated

import typer

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


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end
