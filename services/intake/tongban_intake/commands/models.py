"""Define the bodies of the commands (docs/contract.md)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tongban_intake.http.body import RequestBody


class Supplement(RequestBody):
    """Answers a province's request for a supplement."""

    form: dict[str, Any] = Field(min_length=1, description="fields of the item's form, or others")


class Withdrawal(RequestBody):
    """Withdraws the request; the body is an empty object."""


class Print(RequestBody):
    """Orders one more set of sheets."""

    document_id: str | None = Field(None, max_length=128, description="default: the only document")


class Confirmation(RequestBody):
    """Reports whether a lobby manager has found the sheet in the printer."""

    printed: bool = Field(description="whether the sheet came out")


class Rating(RequestBody):
    """Rates the service (好差评): a grade from 1 to 5 and, optionally, words."""

    grade: int = Field(ge=1, le=5)
    words: str | None = Field(None, max_length=500)
