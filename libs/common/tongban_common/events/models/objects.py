"""The objects that stand within bodies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

# Every moment from a topic is bounded, so that 9999-12-31 makes no reader overflow.
from tongban_common.domain.moments import Moment
from tongban_common.events.models.base import NONE, PSEUDONYMOUS, SEALED, Part, unit


class Sealed(Part):
    """Applicant, form and result, each encrypted under the request's own data key.

    `parts` maps a part's name to base64url(nonce ‖ ciphertext ‖ tag) of AES-256-GCM; `key` is the
    data key wrapped by key `kid` of the key ring. See `tongban_common.envelope`.
    """

    kid: str = Field(
        description="Name of the key of the key ring that wraps the data key.",
        json_schema_extra=NONE,
    )
    key: str = Field(
        description="The request's data key, wrapped, in base64url.", json_schema_extra=SEALED
    )
    parts: dict[str, str] = Field(
        description="Ciphertexts by the name of the part, such as applicant, form or result. "
        "Each is base64url of nonce, ciphertext and tag of AES-256-GCM.",
        json_schema_extra=SEALED,
    )


class ItemSnapshot(Part):
    """The fields of an item (事项) that later steps need: a request ends under the rules it began
    with, whatever version is published meanwhile."""

    code: str = Field(
        description="Code of the item in the catalogue (事项编码).", json_schema_extra=NONE
    )
    version: int = Field(
        description="Version of the item under which the request was submitted; counts from 1.",
        json_schema_extra=NONE | unit("versions"),
    )
    name: str = Field(description="Name of the item, in Chinese.", json_schema_extra=NONE)
    category: str = Field(
        description="Category of the item in the catalogue.", json_schema_extra=NONE
    )
    province: str = Field(
        description="GB/T 2260 code of the lead province.", json_schema_extra=NONE
    )
    partner_province: str | None = Field(
        None,
        description="GB/T 2260 code of the other province where an item concerns two; absent "
        "for all other items.",
        json_schema_extra=NONE,
    )
    kind: Literal["query", "handle", "print"] = Field(
        description="query: look something up; handle: have something done; print: get a document.",
        json_schema_extra=NONE,
    )
    template: str | None = Field(
        None,
        description="Template of the document; absent if nothing is printed.",
        json_schema_extra=NONE,
    )
    promised_days: int = Field(
        description="Working days within which the province promises an answer.",
        json_schema_extra=NONE | unit("working days"),
    )


class Origin(Part):
    """The kiosk, the branch, the channel and the lobby manager of a submission."""

    kiosk_id: str = Field(description="The kiosk of the submission.", json_schema_extra=NONE)
    branch_id: str = Field(
        description="The bank branch where the kiosk stands.", json_schema_extra=NONE
    )
    channel: Literal["self_service", "assisted"] = Field(
        description="assisted: a lobby manager helped the applicant; self_service: nobody did.",
        json_schema_extra=NONE,
    )
    assistant: str | None = Field(
        None,
        description="Staff id of the lobby manager; absent in self-service.",
        json_schema_extra=PSEUDONYMOUS,
    )
    assistant_proved: bool = Field(
        default=False,
        description="True if the lobby manager had signed in; false if only the kiosk named them.",
        json_schema_extra=NONE,
    )


class ApplicantFacts(Part):
    """Facts about an applicant for analysts, none of which identifies a person."""

    type: Literal["person", "company"] = Field(
        description="The kind of applicant. A company acts through an agent.",
        json_schema_extra=NONE,
    )
    pseudonym: str = Field(
        description="Keyed digest of the applicant's document number: the same applicant with "
        "the same document has the same pseudonym in all requests.",
        json_schema_extra=PSEUDONYMOUS,
    )
    region: str | None = Field(
        None,
        description="Province-level division, as the first two digits of its GB/T 2260 code, "
        "that the number of a resident ID or of a company names; absent for other "
        "documents.",
        json_schema_extra=PSEUDONYMOUS,
    )
    age_band: str | None = Field(
        None,
        description="Age on the day of the submission: 0-15, 16-17, 18-29, 30-44, 45-59, 60-74, "
        "75+ or unknown; absent without a resident ID.",
        json_schema_extra=PSEUDONYMOUS | unit("years"),
    )


class SubmissionNote(Part):
    """A note to the applicant at the submission: a code and its facts. Intake makes the text when
    it shows the note, in the language of the reader."""

    code: str = Field(
        description="outside_hours or duplicate_in_progress; readers ignore others.",
        json_schema_extra=NONE,
    )
    opens_at: Moment | None = Field(
        None, description="Business time of the province's next opening.", json_schema_extra=NONE
    )
    other_request_id: str | None = Field(
        None,
        description="The request that is in progress, if it is of the same branch.",
        json_schema_extra=PSEUDONYMOUS,
    )


class DocumentRef(Part):
    """The reference of a document in the store (claim check): its bytes are never on a topic."""

    document_id: str = Field(
        description="Id of the document: a UUID that follows from the request and the content.",
        json_schema_extra=PSEUDONYMOUS,
    )
    title: str = Field(
        description="Title, made of the item's name; never a province's own words.",
        json_schema_extra=NONE,
    )
    pages: int = Field(
        description="Number of pages of the PDF.", json_schema_extra=NONE | unit("pages")
    )
    sha256: str = Field(
        description="SHA-256 of the PDF, as 64 hexadecimal digits.",
        json_schema_extra=PSEUDONYMOUS,
    )
