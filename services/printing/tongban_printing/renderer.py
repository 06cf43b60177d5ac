"""PDF/A-2b from the Typst templates, in threads of their own: Typst lets the loop go on meanwhile.

What a province or an applicant wrote reaches a template as one JSON text, read by `json(bytes())`:
it is never part of the source, so there is nothing to escape and nothing to inject.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import typst
from noto_cjk_sans_otc import FONT_PATH

from tongban_printing.contents import Template

_TEMPLATES = Path(__file__).with_name("templates")
_NO_GLYPH = re.compile(r'the text `"(?P<text>.+)"` could not be displayed', re.DOTALL)
_UNPRINTABLE = re.compile(r"\\u\{([0-9a-f]+)\}")
"""How Typst's message writes a character that cannot be shown in a message."""
_GETA = "〓"
"""What Chinese and Japanese printers have always set for a character that the case lacks."""
_MOST_SUBSTITUTIONS = 50


class CannotRender(Exception):
    """The document cannot be made, now or later. The text holds nothing of the contents."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished document."""

    pdf: bytes
    pages: int

    @property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal."""
        return hashlib.sha256(self.pdf).hexdigest()


class Renderer:
    """An async context manager over a pool of threads.

    The same template, contents and time give the same bytes, on any replica.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="typst")
        self._fonts = typst.Fonts(
            include_system_fonts=False,  # or two replicas might set in different type
            include_embedded_fonts=False,
            font_paths=[str(Path(str(FONT_PATH)).parent)],
        )

    async def __aenter__(self) -> Renderer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def render(self, template: Template, data: dict[str, Any], *, at: datetime) -> Rendered:
        """Make the PDF; `at` is the date it carries.

        Characters that the font lacks are set as 〓 and named by their code points on the sheet.

        Raises:
            CannotRender
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._render, template, data, at)

    def _render(self, template: Template, data: dict[str, Any], at: datetime) -> Rendered:
        substituted: list[str] = []
        while True:
            try:
                return self._compile(template, {**data, "substituted": substituted}, at)
            except typst.TypstError as error:
                # A chain to the cause would take the contents into the logs.
                missing = _NO_GLYPH.search(error.message)
                if missing is None or len(substituted) >= _MOST_SUBSTITUTIONS:
                    raise CannotRender(f"template {template.name} failed") from None
            gone = _UNPRINTABLE.sub(lambda code: chr(int(code[1], 16)), missing["text"])
            substituted.append(" ".join(f"U+{ord(character):04X}" for character in gone))
            data = _substituted(data, gone)

    def _compile(self, template: Template, data: dict[str, Any], at: datetime) -> Rendered:
        compiler = typst.Compiler(
            str(_TEMPLATES / f"{template.name}.typ"),
            root=str(_TEMPLATES),
            font_paths=self._fonts,
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        )
        pdf = compiler.compile(format="pdf", pdf_standards="a-2b", timestamp=int(at.timestamp()))
        if not isinstance(pdf, bytes):
            raise CannotRender(f"template {template.name} made no PDF")
        pages = int(json.loads(compiler.query("<pages>", field="value", one=True)))
        return Rendered(pdf, pages)


def _substituted(value: Any, gone: str) -> Any:
    match value:
        case str():
            return value.replace(gone, _GETA)
        case list():
            return [_substituted(each, gone) for each in value]
        case dict():
            return {name: _substituted(each, gone) for name, each in value.items()}
        case _:
            return value
