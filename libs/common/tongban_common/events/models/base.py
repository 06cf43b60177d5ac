"""The base of all bodies and their parts, and the data classes of fields."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

DATA_CLASS, UNIT = "x-data-class", "x-unit"
"""Keywords of a field's JSON Schema: its data class, and the unit of a number."""


class FieldClass(StrEnum):
    """The data class of a field of an event."""

    NONE = "none"
    PSEUDONYMOUS = "pseudonymous"
    PERSONAL = "personal"
    SEALED = "sealed"

    @property
    def meaning(self) -> str:
        """Return a sentence that explains the class."""
        return _MEANINGS[self]


_MEANINGS = {
    FieldClass.NONE: "It says nothing about a person.",
    FieldClass.PSEUDONYMOUS: "It names nobody, but records that have the same value belong to one "
    "applicant, request, document or employee, or it describes an applicant roughly.",
    FieldClass.PERSONAL: "It can name a person in clear. Only the login names of operators are of "
    "this class, and fields that are no longer written.",
    FieldClass.SEALED: "It is encrypted. Without the key ring it says nothing.",
}
NONE: JsonDict = {DATA_CLASS: FieldClass.NONE}
PSEUDONYMOUS: JsonDict = {DATA_CLASS: FieldClass.PSEUDONYMOUS}
PERSONAL: JsonDict = {DATA_CLASS: FieldClass.PERSONAL}
SEALED: JsonDict = {DATA_CLASS: FieldClass.SEALED}
REQUEST_ID_FORM = "^r-[0-9a-hjkmnp-tv-z]{29}$"
"""The pattern of `tongban_common.domain.ids.REQUEST_ID`, in the published schema alone: a reader of
ours accepts any text, so that a wrong id becomes an answer and no dead letter."""


def unit(name: str) -> JsonDict:
    """Return the keyword that names the unit of a number."""
    return {UNIT: name}


class Part(BaseModel):
    """Base of bodies and their parts. Unknown fields are ignored, so that an older reader works."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Body(Part):
    """Base of the bodies. `TYPE` is the CloudEvents type."""

    TYPE: ClassVar[str]

    request_id: str = Field(
        description="The request. The key of the record and `ce_subject` are the same id.",
        json_schema_extra=PSEUDONYMOUS | {"pattern": REQUEST_ID_FORM},
    )
