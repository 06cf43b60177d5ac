"""`control.provinces`: whether a province's connector is paused. Key: province code (GB/T 2260)."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tongban_common.kafka.view import CompactedView
from tongban_common.topics import CONTROL_PROVINCES


class ProvinceControl(BaseModel):
    """What an operator last said about a province. No record: nothing was ever said.

    `since` and `until` are business time (see `tongban_common.clock`). A pause is over when an
    operator resumes, or by itself at `until`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    province: str
    paused: bool
    reason: str = Field("", description="in Chinese, shown to applicants while it is paused")
    by: str = Field(description="the operator who said so")
    since: AwareDatetime
    until: AwareDatetime | None = None

    def pauses(self, now: datetime) -> bool:
        """Whether calls to the province must wait at this moment of business time."""
        return self.paused and (self.until is None or now < self.until)

    def to_record(self) -> tuple[bytes, bytes]:
        """Key and value."""
        return self.province.encode(), self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_record(cls, value: bytes) -> ProvinceControl:
        """Read a record's value.

        Raises:
            ValidationError: it is none.
        """
        return cls.model_validate_json(value)


def province_controls(bootstrap: str) -> CompactedView[ProvinceControl]:
    """All that operators said of provinces, by code; a reader to be run."""
    return CompactedView(bootstrap, CONTROL_PROVINCES, ProvinceControl.from_record)
