"""Model an application at a province; its state follows from business time alone.

States are derived, not stored: the outcome is decided when the application arrives, and a look-up
computes how far it has come. So there are no timers, and a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from tongban_devstack.gateways.provinces import SimulatedProvince
from tongban_devstack.gateways.seeded_random import SeededRandom


class ApplicationState(StrEnum):
    """State of an application at its province."""

    ACCEPTED = "accepted"
    NEEDS_SUPPLEMENT = "needs_supplement"
    COMPLETED = "completed"
    REJECTED = "rejected"


FINAL = frozenset({ApplicationState.COMPLETED, ApplicationState.REJECTED})

SUPPLEMENT_REASON = "申报材料不清晰，请补正后重新提交"
REJECTIONS = (
    "经核验，申请人信息与本省参保登记信息不一致",
    "经核验，申请事项不符合受理条件",
    "经核验，同类业务正在办理中，请勿重复申请",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a province for an application, made on arrival.

    It completes or rejects at `decided_at`, unless it asks for a supplement at `supplement_at`:
    then it decides `after_supplement` later than it gets that.
    """

    decided_at: datetime
    supplement_at: datetime | None = None
    after_supplement: timedelta = timedelta(0)
    rejection: str | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """One request at one province, with the texts and numbers of its form. It has no id number,
    because nothing that the gateways produce needs one."""

    province: str
    request_id: str
    item_code: str
    item_name: str
    kind: str
    name: str
    form: Mapping[str, str]
    submitted_at: datetime
    plan: Plan
    supplemented_at: datetime | None = None
    withdrawn_at: datetime | None = None

    def decided_at(self) -> datetime | None:
        """Return when it is or will be decided; None while a supplement is missing."""
        if self.plan.supplement_at is None:
            return self.plan.decided_at
        if self.supplemented_at is None:
            return None
        return self.supplemented_at + self.plan.after_supplement

    def state(self, now: datetime) -> ApplicationState:
        """Return the state at a business time; a withdrawn application keeps its state."""
        if self.withdrawn_at is not None:
            now = min(now, self.withdrawn_at)
        decided_at = self.decided_at()
        if decided_at is not None and now >= decided_at:
            return ApplicationState.REJECTED if self.plan.rejection else ApplicationState.COMPLETED
        wanted = self.plan.supplement_at
        if wanted is not None and now >= wanted and self.supplemented_at is None:
            return ApplicationState.NEEDS_SUPPLEMENT
        return ApplicationState.ACCEPTED

    def reason(self, state: ApplicationState) -> str | None:
        """Return the province's reason for the state, which applicants read."""
        if state is ApplicationState.REJECTED:
            return self.plan.rejection
        return SUPPLEMENT_REASON if state is ApplicationState.NEEDS_SUPPLEMENT else None


def plan(
    profile: str, province: SimulatedProvince, request_id: str, kind: str, submitted_at: datetime
) -> Plan:
    """Plan the outcome of an application; deterministic.

    `prompt` completes at once. `realistic` answers most queries at once and takes hours to days of
    business time for the rest; `demo` varies as much within 5 to 40 minutes. One in twenty needs a
    supplement, three in a hundred are rejected.
    """
    if profile == "prompt":
        return Plan(submitted_at)
    rng = SeededRandom(request_id, kind)
    at_once = {"query": 0.9, "print": 0.8, "handle": 0.0}[kind]
    review = timedelta(0)
    if rng.roll("at once") >= at_once:
        low, high = (5, 40) if profile == "demo" else (2 * 60, 5 * 24 * 60)
        review = timedelta(minutes=low + (high - low) * rng.roll("review"))
    decided_at = submitted_at + review
    if review and profile == "realistic" and province.opening_hours is not None:
        decided_at = province.opening_hours.next_open(decided_at)
    fate = rng.roll("fate")
    if fate < 0.05:
        return Plan(
            decided_at, supplement_at=submitted_at + review / 2, after_supplement=review / 2
        )
    if fate < 0.08:
        rejection = REJECTIONS[rng.number("reason", 0, len(REJECTIONS) - 1)]
        return Plan(decided_at, rejection=rejection)
    return Plan(decided_at)


def receipt(province: str, request_id: str, submitted_at: datetime, time: int) -> str:
    """Return the receipt number of a request's `time`-th submission (1, 2, ...) at a province."""
    digest = blake2b(f"{province}\n{request_id}\n{time}".encode(), digest_size=5).digest()
    return f"{province[:2]}{submitted_at:%Y%m%d}{int.from_bytes(digest):013d}"


def view(
    application: Application, now: datetime, result: dict[str, Any] | None, submission: int = 1
) -> dict[str, Any]:
    """Return what the province reports about an application, in the form common to all protocols.

    `submission` selects the receipt number where a province accepted the request repeatedly.
    """
    state = application.state(now)
    shown: dict[str, Any] = {
        "request_id": application.request_id,
        "state": state.value,
        "receipt": receipt(
            application.province,
            application.request_id,
            application.submitted_at,
            submission,
        ),
        "supplements": 0 if application.supplemented_at is None else 1,
        "withdrawn": application.withdrawn_at is not None,
    }
    if reason := application.reason(state):
        shown["reason"] = reason
    if result is not None:
        shown["result"] = result
    return shown
