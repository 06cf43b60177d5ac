"""Handle the records of notify: send each message once, and publish a report of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pydantic import ValidationError

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.domain.phones import optout_key
from tongban_common.domain.status import PrintStatus
from tongban_common.envelope import (
    KeyDestroyedError,
    KeyRing,
    UnreadableEnvelopeError,
    opening_envelope,
)
from tongban_common.events import MalformedEventError, decode, wrong_fields
from tongban_common.events.models import (
    DocumentStored,
    NotificationReported,
    PrintReported,
    RequestCompleted,
    RequestStatus,
    Sealed,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.observability import request_context
from tongban_common.private_texts import REASON, part_of
from tongban_common.store.recovery import RestoredStore, guard_may_have_expired
from tongban_kafka import Poison, Record
from tongban_notify.delivery import Delivery, StrandedMessageError
from tongban_notify.domain.messages import (
    OF_STATUS,
    MessageApplicant,
    MessageTemplate,
    TextMessage,
    reference,
)
from tongban_notify.domain.quiet import QuietHours
from tongban_notify.domain.texts import MessageTexts, TextEvent
from tongban_notify.guards import Guard, GuardOvertakenError, Guards, GuardState
from tongban_notify.waiting import WaitingMessages, WaitRetry

DESTROYED = "个人信息已按期销毁，未发送"
STRANDED = "短信服务商已停用，无法确认是否已发送"
OPTED_OUT = "已退订"
TOO_OLD = "事项已久，未再发送"
_HOLE_PAUSE_S = 5.0
"""Seconds until the next attempt while the register of opt-outs has a hole."""
_NO_PAPER = {PrintStatus.CANCELLED: b"cancelled", PrintStatus.EXPIRED: b"expired"}
_STATUS: dict[GuardState, Literal["sent", "refused", "suppressed"]] = {
    GuardState.SENT: "sent",
    GuardState.REFUSED: "refused",
    GuardState.SUPPRESSED: "suppressed",
}


class OptOuts(Protocol):
    """The part of `RegisterView[OptOut]` that the handler uses."""

    @property
    def hole(self) -> str | None:
        """Return which part of the register could not be read; None if all was read."""

    def in_doubt(self, key: str) -> bool:
        """Return True if the newest record of this digest may differ from the known one."""

    def get(self, key: str) -> object | None:
        """Return the record of a digest."""


@dataclass(frozen=True, slots=True)
class _MessageContent:
    """The content of the message that a record causes."""

    request_id: str
    template: MessageTemplate
    item: str
    sealed: Sealed
    at: datetime
    """Business time, the same in every repeat."""
    repeat: bool
    record: Record
    reason: str | None = None
    on_paper: bool = False
    time: int | None = None
    """Distinguishes messages of one template about one request."""


class NotifyHandler:
    """The handler of the worker group `notify`; a repeat of a record sends no second message.

    Args:
        secret: keys the recipients' numbers in references. Keep it as long as requests are kept.
        optouts: numbers that get no messages.
        restored: decides for which records the guard may have been lost with the store.
        texts: what the messages say.
        quiet: the hours without messages; None sends at any time.
    """

    def __init__(
        self,
        *,
        keys: KeyRing,
        delivery: Delivery,
        guards: Guards,
        publisher: EventPublisher,
        secret: str,
        clock: BusinessClock,
        optouts: OptOuts,
        restored: RestoredStore,
        texts: MessageTexts,
        quiet: QuietHours | None = None,
    ) -> None:
        self._keys = keys
        self._delivery = delivery
        self._guards = guards
        self._publisher = publisher
        self._secret = secret
        self._clock = clock
        self._optouts = optouts
        self._restored = restored
        self._texts = texts
        self._quiet = quiet
        self._waiting = WaitingMessages()

    async def handle(self, record: Record) -> None:
        """Handle one record of requests.completed, requests.status or documents.printed.

        Raises:
            Poison: no message can be made of the record, now or later.
            Retry, StoreUnavailableError, KafkaUnavailableError: a later attempt may succeed.
        """
        if record.topic == topics.DOCUMENTS_PRINTED and not _may_be_without_paper(record):
            return
        with self._waiting.attempt(record):
            await self._handle(record)

    async def _handle(self, record: Record) -> None:
        try:
            event = decode(record.value, record.headers)
        except MalformedEventError as error:
            raise Poison(str(error)) from error
        with request_context(event.body.request_id):
            match event.body:
                case RequestCompleted() | RequestStatus() | PrintReported() as body:
                    content = _content_of(body, record, repeat=event.repeat)
                    if content is not None:
                        await self._send_message(content)
                case DocumentStored():
                    pass
                case other:
                    raise Poison(f"{other.TYPE} does not belong on {record.topic}")

    async def _send_message(self, content: _MessageContent) -> None:
        try:
            message = self._message(content)
        except KeyDestroyedError:
            await self._report_destroyed(content)
            return
        try:
            guard, seen = await self._deliver(content, message)
        except StrandedMessageError as stranded:
            await self._held(content, stranded.guard)
            return
        faultpoints.reached("notify.before_report")
        await self._report(content, guard, repeat=content.repeat or seen)
        faultpoints.reached("notify.after_report")

    async def _deliver(self, content: _MessageContent, message: TextMessage) -> tuple[Guard, bool]:
        if guard_may_have_expired(self._clock, content.at):
            return await self._delivery.suppress(message, TOO_OLD)
        if self._opted_out(message.to):
            return await self._delivery.suppress(message, OPTED_OUT)
        if self._quiet is not None and (left := self._quiet.left(self._clock.now())):
            raise WaitRetry("quiet", "quiet hours", after=max(1.0, self._clock.real_seconds(left)))
        record = content.record
        doubtful = await self._restored.may_lack_guard(record.timestamp_ms, record.headers)
        return await self._delivery.deliver(message, doubtful=doubtful)

    def _opted_out(self, number: str) -> bool:
        """Return True if the owner of this number has opted out.

        A record of the number that cannot be decoded counts as an opt-out.

        Raises:
            Retry: the register has a hole, which may contain any number.
        """
        if (hole := self._optouts.hole) is not None:
            raise WaitRetry("optouts", hole, after=_HOLE_PAUSE_S)
        digest = optout_key(self._secret, number)
        return self._optouts.in_doubt(digest) or self._optouts.get(digest) is not None

    async def _report_destroyed(self, content: _MessageContent) -> None:
        """Report on a message whose number was destroyed with its key.

        The guard has the result. Without a guard the message was not sent, and is reported as
        suppressed.
        """
        guard = await self._guards.of(content.request_id, content.template, content.time)
        if guard is not None:
            seen = guard.state.over
            try:
                guard = await self._delivery.withhold(guard, DESTROYED)
            except StrandedMessageError as stranded:
                await self._held(content, stranded.guard)
            else:
                await self._report(content, guard, repeat=content.repeat or seen)
            return
        name = derived_id("message", content.request_id, content.template, "destroyed")
        await self._publish(
            content, name, "suppressed", provider=None, at=content.at, reason=DESTROYED,
            repeat=content.repeat,
        )  # fmt: skip

    def _message(self, content: _MessageContent) -> TextMessage:
        applicant = self._applicant(content)
        contact = applicant.contact
        if contact is None:
            raise Poison("the applicant has no number to send to")
        event = TextEvent.of(content.template, on_paper=content.on_paper)
        reason = self._reason(content) if event.has_reason else None
        text = self._texts.text(event, applicant, content.item, reason)
        name = reference(
            self._secret,
            request_id=content.request_id,
            template=content.template,
            number=contact.number,
            time=content.time,
        )
        return TextMessage(
            name, content.request_id, content.template, contact.number, text, content.time
        )

    def _reason(self, content: _MessageContent) -> str | None:
        """Return the author's own text if it was sealed, else the text in clear.

        The key is on the key ring, since the applicant's part was opened before.
        """
        if part_of(content.sealed, REASON) is None:
            return content.reason
        try:
            return str(self._keys.open(content.request_id, content.sealed, REASON))
        except UnreadableEnvelopeError:
            return content.reason  # send the message without the reason

    def _applicant(self, content: _MessageContent) -> MessageApplicant:
        with opening_envelope():
            applicant = self._keys.open(content.request_id, content.sealed, "applicant")
        try:
            return MessageApplicant.model_validate(applicant)
        except ValidationError as error:
            raise Poison(f"applicant: {wrong_fields(error, of=MessageApplicant)}") from None

    async def _held(self, content: _MessageContent, guard: Guard) -> None:
        """Strand the message until its provider is configured again, and report it as held.

        The report of its end is another event, so the two have different ids.
        """
        if guard.state is not GuardState.STRANDED:
            try:
                guard = await self._guards.strand(guard, content.record)
            except GuardOvertakenError:
                raise WaitRetry("overtaken", "another process has the message", after=1.0) from None
        await self._publish(
            content, guard.reference, "held", provider=guard.provider, at=content.at,
            reason=STRANDED, repeat=content.repeat,
        )  # fmt: skip

    async def _report(self, content: _MessageContent, guard: Guard, *, repeat: bool) -> None:
        assert guard.at is not None  # noqa: S101 - a finished guard has its time
        await self._publish(
            content, guard.reference, _STATUS[guard.state], provider=guard.provider, at=guard.at,
            reason=guard.reason, repeat=repeat,
        )  # fmt: skip

    async def _publish(
        self,
        content: _MessageContent,
        name: str,
        status: Literal["sent", "refused", "suppressed", "held"],
        *,
        provider: str | None,
        at: datetime,
        reason: str | None,
        repeat: bool,
    ) -> None:
        which = ("held",) if status == "held" else ()
        await self._publisher.publish(
            topics.NOTIFICATIONS_SENT,
            NotificationReported(
                request_id=content.request_id,
                reference=name,
                template=content.template,
                channel="sms",
                status=status,
                provider=provider,
                at=at,
                reason=reason,
            ),
            event_id=derived_id("notification-reported", name, *which),
            at=at,
            repeat=repeat,
        )


def _may_be_without_paper(record: Record) -> bool:
    """Return True if the record may report that no paper will come.

    Most records of documents.printed do not: decoding them all would cost more than all messages.
    """
    return any(status in (record.value or b"") for status in _NO_PAPER.values())


def _content_of(
    body: RequestCompleted | RequestStatus | PrintReported, record: Record, *, repeat: bool
) -> _MessageContent | None:
    """Return the content of the message that an event causes; None if it causes none."""
    match body:
        case RequestCompleted():
            return _MessageContent(
                body.request_id, MessageTemplate.COMPLETED, body.item.name, body.sealed,
                body.completed_at, repeat, record,
                on_paper=body.print and bool(body.documents or body.item.template),
            )  # fmt: skip
        case RequestStatus():
            # A republished entry is for rebuilding the read model: its message was sent when it was
            # new.
            if body.note or body.republished or body.status not in OF_STATUS:
                return None
            return _MessageContent(
                body.request_id, OF_STATUS[body.status], body.item.name, body.sealed, body.at,
                repeat, record, reason=body.reason, time=body.supplements,
            )  # fmt: skip
        case PrintReported():
            if body.status not in _NO_PAPER or body.sealed is None:
                return None
            return _MessageContent(
                body.request_id, MessageTemplate.NOT_PRINTED, body.item_name or "证明", body.sealed,
                body.at, repeat, record, reason=body.reason, time=body.copy_number,
            )  # fmt: skip
