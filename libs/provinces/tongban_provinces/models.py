"""Wire models of a gateway's answers, the same for every protocol.

A gateway may be broken or hostile, so every text and every list has a longest length, and no text
holds control characters. An answer that breaks a bound fails to validate as a whole.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tongban_common.store.documents import MAX_BYTES

_VISIBLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]*$"
"""Refuses control characters, and those that change the direction of the text behind them."""
ShortText = Annotated[str, StringConstraints(max_length=64, pattern=_VISIBLE)]
NameText = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_VISIBLE)]
_CellText = Annotated[str, StringConstraints(max_length=200, pattern=_VISIBLE)]
_LongText = Annotated[str, StringConstraints(max_length=500, pattern=_VISIBLE)]


class GatewayState(StrEnum):
    """State of an application at the province."""

    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    COMPLETED = "completed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ResultTable(BaseModel):
    """Rows of a result, e.g. a contribution record."""

    columns: list[ShortText] = Field(max_length=20)
    rows: list[Annotated[list[_CellText], Field(max_length=20)]] = Field(max_length=5000)


class ResultFact(BaseModel):
    """One labelled line of a result."""

    label: ShortText
    value: _LongText


class Result(BaseModel):
    """The outcome of a completed application; certificates are made from it."""

    number: ShortText
    issuer: NameText
    issued_on: ShortText
    facts: list[ResultFact] = Field(max_length=200)
    table: ResultTable | None = None


class OfferedDocument(BaseModel):
    """A finished document (PDF) that the province made and that can be fetched."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """The gateway's name for it, unique within the application."""
    title: NameText
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=1, le=MAX_BYTES)
    """Bytes."""


class GatewayAnswer(BaseModel):
    """An application as its gateway describes it.

    Validation checks the shape alone: the caller still compares `request_id` with the request that
    the call was about.
    """

    model_config = ConfigDict(extra="ignore")

    request_id: NameText
    state: GatewayState
    receipt: NameText | None = None
    reason: _LongText | None = None
    result: Result | None = None
    supplements: int = Field(0, ge=0, le=1000)
    """Number of supplements that the province has received."""
    withdrawn: bool = False
    documents: list[OfferedDocument] = Field([], max_length=5)
    said_at: float | None = Field(None, exclude=True)
    """The gateway's own wall clock (Unix seconds) when it answered. The protocol's class sets it
    from what was signed; None where the protocol does not carry it."""
