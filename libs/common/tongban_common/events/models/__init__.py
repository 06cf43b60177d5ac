"""The bodies of all events, versioned in their type.

Changes are additive only: docs/events/schemas holds the schema of every type that was ever
published, and `tongban events describe` refuses to replace one by an incompatible one.

A field without a value is left out of the JSON, so every field that may be None has None as its
default. Every field has a description and, in `x-data-class`, its data class (`FieldClass`).
"""

from __future__ import annotations

from tongban_common.events.models.base import Body, FieldClass, Part
from tongban_common.events.models.messages import NotificationReported
from tongban_common.events.models.objects import (
    ApplicantFacts,
    DocumentRef,
    ItemSnapshot,
    Origin,
    Sealed,
    SubmissionNote,
)
from tongban_common.events.models.printing import (
    DocumentStored,
    PrintConfirmed,
    PrintOrdered,
    PrintReported,
)
from tongban_common.events.models.provinces import ProvinceCall, ProvinceNotice, ProvinceOutcome
from tongban_common.events.models.requests import (
    FeedbackRated,
    OperatorDecision,
    RepublishRequested,
    RequestCompleted,
    RequestStatus,
    RequestSubmitted,
    SupplementHanded,
    TimerDue,
    WithdrawalAsked,
)

__all__ = [
    "MODELS",
    "ApplicantFacts",
    "Body",
    "DocumentRef",
    "DocumentStored",
    "FeedbackRated",
    "FieldClass",
    "ItemSnapshot",
    "NotificationReported",
    "OperatorDecision",
    "Origin",
    "Part",
    "PrintConfirmed",
    "PrintOrdered",
    "PrintReported",
    "ProvinceCall",
    "ProvinceNotice",
    "ProvinceOutcome",
    "RepublishRequested",
    "RequestCompleted",
    "RequestStatus",
    "RequestSubmitted",
    "Sealed",
    "SubmissionNote",
    "SupplementHanded",
    "TimerDue",
    "WithdrawalAsked",
]

MODELS: dict[str, type[Body]] = {model.TYPE: model for model in Body.__subclasses__()}
"""The model of every event type."""
