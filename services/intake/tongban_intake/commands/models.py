"""Bodies of the commands (docs/contract.md)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tongban_intake.http.schema import RequestBody


class Supplement(RequestBody):
    """What the province asked for."""

    form: dict[str, Any] = Field(min_length=1, description="fields of the item's form, or others")


class Withdrawal(RequestBody):
    """Nothing has to be said."""


class Print(RequestBody):
    """One more sheet set."""

    document_id: str | None = Field(None, max_length=128, description="default: the only document")


class Confirmation(RequestBody):
    """What a lobby manager found at the printer."""

    printed: bool = Field(description="whether the sheet came out")


class Rating(RequestBody):
    """好差评: five grades and, if one likes, words."""

    grade: int = Field(ge=1, le=5)
    words: str | None = Field(None, max_length=500)
