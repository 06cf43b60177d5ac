"""What a connector needs of a province gateway, in whatever protocol, and how calls end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tongban_common.store.documents import MAX_BYTES

_VISIBLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]*$"
"""No control characters, and none that turn the direction of what is read after them."""
Word = Annotated[str, StringConstraints(max_length=64, pattern=_VISIBLE)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_VISIBLE)]
Cell = Annotated[str, StringConstraints(max_length=200, pattern=_VISIBLE)]
Words = Annotated[str, StringConstraints(max_length=500, pattern=_VISIBLE)]


class GatewayState(StrEnum):
    """What a province says of an application (DESIGN section 2, outcome)."""

    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    COMPLETED = "completed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ResultTable(BaseModel):
    """Rows of a result, e.g. a contribution record."""

    columns: list[Word] = Field(max_length=20)
    rows: list[Annotated[list[Cell], Field(max_length=20)]] = Field(max_length=5000)


class ResultFact(BaseModel):
    """A line of a result."""

    label: Word
    value: Words


class Result(BaseModel):
    """What a finished application yields; what is printed is made of it."""

    number: Word
    issuer: Name
    issued_on: Word
    facts: list[ResultFact] = Field(max_length=200)
    table: ResultTable | None = None


class OfferedDocument(BaseModel):
    """A finished document that the province made and hands out (a PDF)."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """The gateway's name for it, within the application."""
    title: Name
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=1, le=MAX_BYTES)
    """Bytes."""


class GatewayAnswer(BaseModel):
    """An answer of the right shape. It is believed once the connector has found that it is about
    the request that was asked for."""

    model_config = ConfigDict(extra="ignore")

    request_id: Name
    state: GatewayState
    receipt: Name | None = None
    reason: Words | None = None
    result: Result | None = None
    supplements: int = Field(0, ge=0, le=1000)
    withdrawn: bool = False
    documents: list[OfferedDocument] = Field([], max_length=5)
    said_at: float | None = Field(None, exclude=True)
    """As of `Unknown`; set by the protocol."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The gateway does not know the application."""

    said_at: float | None = None
    """The gateway's own wall clock (Unix seconds) when it said so, as far as the protocol tells.
    Its `act_before` goes by that clock, whatever ours says."""


class GatewayDownError(Exception):
    """Nothing was sent, or nothing can have been done with it."""


class AccessDeniedError(GatewayDownError):
    """The gateway knows us and refuses us, and not the request: our clock, our rights. Nothing was
    done, and no other request would fare better. The text is the gateway's code."""


class RetryLaterError(Exception):
    """The gateway asks us to come again: closed or throttled. Nothing was done."""

    def __init__(self, cause: str, after_s: float) -> None:
        super().__init__(cause)
        self.cause = cause
        self.after_s = after_s


class UnclearAnswerError(Exception):
    """Whether it took effect is not known: time-out, reset, 5xx, an answer without signature."""


class BrokenAnswerError(UnclearAnswerError):
    """An answer came and cannot be believed: another shape, another request, a document that is not
    what was announced. Time alone does not mend that, so it is tried a limited number of times."""


class NotRecognisedError(UnclearAnswerError):
    """The gateway says that a message was not ours. It may have been another one under our nonce:
    nobody whom it does not recognise can have it vouch for what became of ours, signed or not.
    The text is the gateway's code, or its status."""


class GatewayRefusedError(Exception):
    """A clear no to this call, nothing done; `code` is the gateway's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Gateway(Protocol):
    """One province's gateway. Every method raises Down, Later, Unclear or Refused."""

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        """Hand an application in. No effect after `act_before` (wall clock, Unix seconds)."""

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> GatewayAnswer:
        """Hand in what was asked for."""

    async def withdraw(self, request_id: str, *, act_before: float) -> GatewayAnswer:
        """Take an application back."""

    async def look_up(self, request_id: str) -> GatewayAnswer | Unknown | None:
        """What the gateway knows of an application; None: it does not know it, and no more is
        said."""

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:
        """A piece of a document that an answer offered, from its byte `start` on: at least one
        byte, at most the rest of `document.size`, and not yet compared with its hash. How much
        comes at once is the protocol's affair."""
