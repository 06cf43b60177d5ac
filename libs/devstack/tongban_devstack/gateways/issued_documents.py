"""Render the documents that provinces issue: real PDFs, with the same bytes every time."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import typst
from noto_cjk_sans_otc import FONT_PATH

NAME = "certificate"
"""Name of an application's document."""
_TEMPLATE = Path(__file__).with_name("issued_document.typ")
_KEPT = 200


@dataclass(frozen=True)
class IssuedDocument:
    """A rendered document."""

    title: str
    pdf: bytes

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 in hexadecimal."""
        return hashlib.sha256(self.pdf).hexdigest()

    def offered(self) -> dict[str, Any]:
        """Return how an answer announces the document."""
        return {
            "name": NAME,
            "title": self.title,
            "sha256": self.sha256,
            "size": len(self.pdf),
        }


class DocumentRenderer:
    """Renders documents in a thread, and caches the latest in memory."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="documents")
        self._made: OrderedDict[tuple[str, str], IssuedDocument] = OrderedDict()

    async def of(
        self, key: tuple[str, str], title: str, result: dict[str, Any], decided_at: datetime
    ) -> IssuedDocument:
        """Return the document of a completed application; `key` identifies it."""
        document = self._made.get(key)
        if document is None:
            loop = asyncio.get_running_loop()
            pdf = await loop.run_in_executor(self._pool, _render, title, result, decided_at)
            document = self._made[key] = IssuedDocument(title, pdf)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return document

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[str(Path(str(FONT_PATH)).parent)],
    )


def _render(title: str, result: dict[str, Any], at: datetime) -> bytes:
    compiler = typst.Compiler(
        str(_TEMPLATE),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps({"title": title, **result}, ensure_ascii=False)},
    )
    pdf = compiler.compile(format="pdf", timestamp=int(at.timestamp()))
    assert isinstance(pdf, bytes)  # noqa: S101 - of one document in one format
    return pdf
