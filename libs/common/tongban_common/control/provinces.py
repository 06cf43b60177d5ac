"""`control.provinces`: pauses of provinces' connectors. The key is the province code (GB/T
2260)."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from tongban_common.control.records import StateRecord
from tongban_common.domain.moments import Moment
from tongban_common.events.models import Sealed
from tongban_common.topics import CONTROL_PROVINCES
from tongban_kafka import KafkaAddress, RegisterView

PAUSE_REASONS = ("系统升级", "系统维护", "数据迁移", "网络故障", "节假日", "省级平台要求暂停")
"""Reasons that are published in clear. Any other text of an operator is sealed (ADR 0019)."""


class ProvinceControl(StateRecord):
    """The last decision of an operator about a province; without one there is no record.

    `since` and `until` are business time (see `tongban_common.clock`). A pause is over when an
    operator resumes, or by itself at `until`.
    """

    province: str
    paused: bool
    reason: str = Field("", description="one of PAUSE_REASONS, shown to applicants meanwhile")
    sealed: Sealed | None = Field(
        None, description="has the part `reason` with any other text, for applicants"
    )
    by: str = Field(description="the operator who decided")
    since: Moment
    until: Moment | None = None

    def pauses(self, now: datetime) -> bool:
        """Return True if calls to the province must wait at this moment of business time."""
        return self.paused and (self.until is None or now < self.until)

    @property
    def bound_to(self) -> str:
        """Return the text that the envelope is bound to; for a request it is the request's id."""
        return f"{CONTROL_PROVINCES}/{self.province}"

    @property
    def key(self) -> str:
        """Return the record's key."""
        return self.province


def province_controls(bootstrap: KafkaAddress) -> RegisterView[ProvinceControl]:
    """Return a view of all decisions by province code; the caller runs it."""
    return RegisterView(bootstrap, CONTROL_PROVINCES, ProvinceControl.from_record)
