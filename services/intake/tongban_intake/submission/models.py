"""Define the body of `POST /v1/requests` (docs/contract.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tongban_common.domain.identity import ID_TYPES
from tongban_intake.http.schema import RequestBody

Name = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]
IdType = Literal[
    "resident_id", "passport", "hk_macau_permit", "taiwan_permit", "foreign_resident_id"
]
if set(ID_TYPES) != set(IdType.__args__):  # type: ignore[attr-defined]
    raise RuntimeError("the id types of the contract and of the domain differ")


class Individual(RequestBody):
    """A human being with a document and a mobile phone."""

    name: Name
    id_type: IdType
    id_number: str = Field(min_length=1, max_length=32)
    phone: str = Field(min_length=1, max_length=32, description="mobile number, mainland")
    email: str | None = Field(None, max_length=254, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$")


class Person(Individual):
    """A person who applies for himself or herself."""

    type: Literal["person"]

    @property
    def individual(self) -> Individual:
        """The person whose document and phone the applicant gives."""
        return self


class Company(RequestBody):
    """A company, and the person who acts for it."""

    type: Literal["company"]
    name: Name
    uscc: str = Field(min_length=1, max_length=32, description="credit code of GB 32100")
    agent: Individual

    @property
    def individual(self) -> Individual:
        """The person whose document and phone the applicant gives."""
        return self.agent


class Submission(RequestBody):
    """One request: one item, one applicant."""

    item_code: str = Field(max_length=32, description="seventeen digits, after GB/T 39554.1")
    channel: Literal["self_service", "assisted"]
    assistant: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="the lobby manager's id; required where assisted, absent elsewhere",
    )
    applicant: Annotated[Person | Company, Field(discriminator="type")]
    form: dict[str, Any] = Field(description="valid against the item's JSON Schema")
    print: bool | None = Field(
        None, description="default: true if the item is printable; true for any other item is 422"
    )
