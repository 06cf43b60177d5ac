"""Typeset one sheet with Typst, in the child process of `render_worker`.

Texts of a province or an applicant reach a template as one JSON text, read by `json(bytes())`. They
are never part of the source, so nothing needs escaping and nothing can be injected.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import segno
import typst
from noto_cjk_sans_otc import FONT_PATH

from tongban_printing.errors import PrintingError
from tongban_printing.typesetting.glyphs import Substitution, bundled

MOST_PAGES = 200
_MOST_CELLS = 50_000
"""Most cells of a table: about 200 pages, and some seven seconds of work."""
_MOST_ROWS = 40 * MOST_PAGES
_TEMPLATES = Path(__file__).with_name("templates")
STANDARDS: tuple[Literal["a-2a", "ua-1"], ...] = ("a-2a", "ua-1")
"""PDF/A-2a (ISO 19005-2, archiving; it includes 2b) and PDF/UA-1 (ISO 14289-1, read aloud)."""
_BYTE_ORDER_MARK = "\ufeff"
"""Shows nothing, comes with texts out of spreadsheets, and PDF/A-2a does not allow it."""
_NO_GLYPH = "could not be displayed"
"""Part of Typst's message for a character without a glyph, which PDF/A does not allow."""


class TypesettingError(PrintingError):
    """Raised when the sheet can never be made. The text quotes nothing of the contents."""


class SheetTooLongError(TypesettingError):
    """Raised when the sheet would have more pages than a kiosk prints."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A finished document."""

    pdf: bytes
    pages: int


def set_sheet(template: str, data: dict[str, Any], timestamp: int) -> Sheet:
    """Make the PDF; `timestamp` is its date in seconds since 1970.

    If the first attempt fails for characters that the fonts lack, all of them are replaced by 〓
    and listed by code point on the sheet.

    Raises:
        TypesettingError: the template fails with these data.
        SheetTooLongError: the sheet would have more than MOST_PAGES.
    """
    table = data.get("table")
    if table is not None:
        rows = len(table["rows"])
        if rows > _MOST_ROWS or rows * len(table["columns"]) > _MOST_CELLS:
            raise SheetTooLongError(f"a table of {rows} rows")
    data = {**data, "qr": _qr(data["verify_url"])}
    try:
        sheet = _compiled(template, {**data, "substituted": []}, timestamp)
    except (typst.TypstError, UnicodeEncodeError) as error:
        # No `from error`: the cause quotes the contents, which must not get into logs.
        if isinstance(error, typst.TypstError) and _NO_GLYPH not in error.message:
            raise TypesettingError(f"template {template} failed") from None
        sheet = _with_substitutes(template, data, timestamp)
    if sheet.pages > MOST_PAGES:
        raise SheetTooLongError(f"{sheet.pages} pages")
    return sheet


def _with_substitutes(template: str, data: dict[str, Any], timestamp: int) -> Sheet:
    substitution = Substitution(bundled())
    shown = substitution.apply(data)
    try:
        return _compiled(template, {**shown, "substituted": substitution.names}, timestamp)
    except typst.TypstError:
        raise TypesettingError(f"template {template} failed with substitutes") from None


def _compiled(template: str, data: dict[str, Any], timestamp: int) -> Sheet:
    compiler = typst.Compiler(
        str(_TEMPLATES / f"{template}.typ"),
        root=str(_TEMPLATES),
        font_paths=fonts(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False).replace(_BYTE_ORDER_MARK, "")},
    )
    pdf = compiler.compile(format="pdf", pdf_standards=list(STANDARDS), timestamp=timestamp)
    if not isinstance(pdf, bytes):
        raise TypesettingError(f"template {template} made no PDF")
    pages = int(json.loads(compiler.query("<pages>", field="value", one=True)))
    return Sheet(pdf, pages)


def _qr(url: str | None) -> str | None:
    """Return the QR code (ISO/IEC 18004) of an address as SVG, with a quarter of redundancy."""
    if url is None:
        return None
    return segno.make_qr(url, error="q").svg_inline(border=1, omitsize=True)


@functools.cache
def fonts() -> typst.Fonts:
    """Return the bundled fonts alone: with the system's fonts two replicas might differ."""
    return typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[str(Path(str(FONT_PATH)).parent)],
    )
