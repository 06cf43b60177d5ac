"""What a connector needs of a province gateway, in whatever protocol, and how calls end."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field


class GatewayState(StrEnum):
    """What a province says of an application (DESIGN section 2, outcome)."""

    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    COMPLETED = "completed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Table(BaseModel):
    """Rows of a result, e.g. a contribution record."""

    columns: list[str] = Field(max_length=20)
    rows: list[list[str]] = Field(max_length=5000)


class Fact(BaseModel):
    """A line of a result."""

    label: str
    value: str


class Result(BaseModel):
    """What a finished application yields; what is printed is made of it."""

    number: str
    issuer: str
    issued_on: str
    facts: list[Fact] = Field(max_length=200)
    table: Table | None = None


class Answer(BaseModel):
    """A believed answer: right shape, right signature, right request."""

    model_config = ConfigDict(extra="ignore")

    request_id: str
    state: GatewayState
    receipt: str | None = None
    reason: str | None = None
    result: Result | None = None
    supplements: int = 0
    withdrawn: bool = False


class Down(Exception):
    """Nothing was sent, or nothing can have been done with it."""


class Later(Exception):
    """The gateway asks us to come again: closed or throttled. Nothing was done."""

    def __init__(self, cause: str, after_s: float) -> None:
        super().__init__(cause)
        self.cause = cause
        self.after_s = after_s


class Paused(Exception):
    """An operator lets this province wait; nothing was asked. `reason` is for applicants."""

    def __init__(self, reason: str) -> None:
        super().__init__("paused by an operator")
        self.reason = reason


class Unclear(Exception):
    """Whether it took effect is not known: time-out, reset, 5xx, an answer not to be believed."""


class Refused(Exception):
    """A clear no to this call, nothing done; `code` is the gateway's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Gateway(Protocol):
    """One province's gateway. Every method raises Down, Later, Unclear or Refused."""

    async def submit(self, application: dict[str, Any], *, act_before: float) -> Answer:
        """Hand an application in. No effect after `act_before` (wall clock, Unix seconds)."""

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> Answer:
        """Hand in what was asked for."""

    async def withdraw(self, request_id: str, *, act_before: float) -> Answer:
        """Take an application back."""

    async def look_up(self, request_id: str) -> Answer | None:
        """What the gateway knows of an application; None: it does not know it."""
