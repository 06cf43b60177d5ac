"""Follow the registers of kiosks and lobby managers, control.kiosks and control.assistants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tongban_common.topics import CONTROL_ASSISTANTS, CONTROL_KIOSKS
from tongban_intake.access.enrolment import READ_COMMITTED, AssistantRecord, KioskRecord
from tongban_intake.access.tokens import Kiosk
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text
from tongban_kafka import KafkaAddress, RegisterView

RecordT = TypeVar("RecordT", KioskRecord, AssistantRecord)
_INVALID = {"WWW-Authenticate": 'Bearer realm="tongban", error="invalid_token"'}


class Enrolled:
    """Follows both topics, so that a revocation takes effect within a second on every replica.

    While Kafka is unavailable the last records stay in force: no revocation can be written either.
    Where a part of a topic cannot be read, it may hold a revocation: no kiosk is authenticated, and
    open streams end, until an operator has accepted the loss (`RegisterView`).

    Args:
        on_void: called with a kiosk's id when its tokens may have become void.
    """

    def __init__(self, bootstrap: KafkaAddress, *, on_void: Callable[[str], None]) -> None:
        self._on_void = on_void
        self.kiosks: RegisterView[KioskRecord] = RegisterView(
            bootstrap,
            CONTROL_KIOSKS,
            KioskRecord.model_validate_json,
            on_change=lambda kiosk_id, _: on_void(kiosk_id),
            on_doubt=self._kiosks_in_doubt,
            client=READ_COMMITTED,
        )
        self.assistants: RegisterView[AssistantRecord] = RegisterView(
            bootstrap, CONTROL_ASSISTANTS, AssistantRecord.model_validate_json,
            client=READ_COMMITTED,
        )  # fmt: skip

    def _kiosks_in_doubt(self, kiosk_id: str | None) -> None:
        for each in list(self.kiosks.values) if kiosk_id is None else [kiosk_id]:
            self._on_void(each)

    def readiness(self) -> str | None:
        """Return None once both registers have been read, else the reason: before that, this
        replica would refuse every kiosk."""
        return self.kiosks.readiness() or self.assistants.readiness()

    def kiosk(self, kiosk_id: str) -> KioskRecord | None:
        """Return the record of a kiosk that is enrolled and not revoked; None for any other.

        Raises:
            ProblemError: 503 while still reading at start, or while the register has a hole.
        """
        return _valid(self.kiosks, kiosk_id)

    def assistant(self, assistant_id: str) -> AssistantRecord | None:
        """Return the record of a lobby manager who may sign in; None for any other.

        Raises:
            ProblemError: 503 while still reading at start, or while the register has a hole.
        """
        return _valid(self.assistants, assistant_id)

    def is_valid(self, kiosk: Kiosk) -> bool:
        """Return True if nothing has revoked a token, whose signature was verified, since its
        issue.

        Raises:
            ProblemError: 503 while still reading at start, or while the register has a hole.
        """
        record = self.kiosk(kiosk.kiosk_id)
        if record is None or record.epoch != kiosk.epoch or record.branch_id != kiosk.branch_id:
            return False
        if kiosk.assistant is None:
            return True
        assistant = self.assistant(kiosk.assistant)
        return (
            assistant is not None
            and assistant.epoch == kiosk.assistant_epoch
            and assistant.branch_id == kiosk.branch_id
        )

    def must_be_valid(self, kiosk: Kiosk) -> Kiosk:
        """Return the same kiosk.

        Raises:
            ProblemError: 401, its token has been revoked; 503 as `is_valid`.
        """
        if self.is_valid(kiosk):
            return kiosk
        raise ProblemError(
            Kind.UNAUTHENTICATED,
            Text("终端未登记、已停用或登录已失效", "Not enrolled, revoked, or signed out by force"),
            headers=_INVALID,
        )


def _valid(view: RegisterView[RecordT], key: str) -> RecordT | None:
    if not view.ready:
        raise ProblemError(
            Kind.UNAVAILABLE, Text("正在启动，请稍后重试", "Starting; try again"), retry_after=1
        )
    if view.hole is not None:
        raise ProblemError(
            Kind.UNAVAILABLE,
            Text("登记信息暂时无法核实，请稍后重试", "Enrolment cannot be verified just now"),
            retry_after=30,
        )
    record = None if view.in_doubt(key) else view.get(key)
    return record if record is not None and record.valid else None
