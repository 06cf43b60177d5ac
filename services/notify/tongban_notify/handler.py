"""What notify does with a record: whom it tells what, once, and the report of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from pydantic import ValidationError

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.domain.phones import optout_key
from tongban_common.domain.status import PrintStatus
from tongban_common.envelope import KeyDestroyedError, KeyRing, UnreadableEnvelopeError
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
from tongban_common.opening import opening_envelope
from tongban_common.private_texts import REASON, part_of
from tongban_common.store.recovery import RestoredStore
from tongban_kafka import Poison, Record, Retry
from tongban_notify.delivery import Delivery, StrandedMessageError
from tongban_notify.guards import Guard, GuardOvertakenError, Guards, GuardState
from tongban_notify.messages import (
    OF_STATUS,
    MessageApplicant,
    MessageTemplate,
    TextMessage,
    completed_text,
    reference,
    status_text,
)
from tongban_notify.quiet import QuietHours

DESTROYED = "个人信息已按期销毁，未发送"
STRANDED = "短信服务商已停用，无法确认是否已发送"
OPTED_OUT = "已退订"
TOO_OLD = "事项已久，未再发送"
_HOLE_PAUSE_S = 5.0
"""Seconds between looks whether the register of opt-outs can be read again."""
_NO_PAPER = {PrintStatus.CANCELLED: b"cancelled", PrintStatus.EXPIRED: b"expired"}
_STATUS: dict[GuardState, Literal["sent", "refused", "suppressed"]] = {
    GuardState.SENT: "sent",
    GuardState.REFUSED: "refused",
    GuardState.SUPPRESSED: "suppressed",
}


class OptOuts(Protocol):
    """Offers what is needed of `RegisterView[OptOut]`."""

    @property
    def hole(self) -> str | None:
        """Return what of the register could not be read; None: nothing."""

    def in_doubt(self, key: str) -> bool:
        """Return True if the newest record of this digest may be another than the known one."""

    def get(self, key: str) -> object | None:
        """The record of a digest."""


@dataclass(frozen=True, slots=True)
class _News:
    """Holds what a person is to be told because of a record."""

    request_id: str
    template: MessageTemplate
    item: str
    sealed: Sealed
    at: datetime
    """Business time; the same in every repeat."""
    repeat: bool
    record: Record
    reason: str | None = None
    on_paper: bool = False
    time: int | None = None
    """Tells apart messages of one template about one request."""


class NotifyHandler:
    """The handler of the worker group `notify`; a repeat of a record sends no second message.

    Args:
        secret: keys the recipients' numbers in references; to be kept as long as requests are.
        optouts: numbers that get no messages.
        restored: tells for which records the guard may have been lost with the store.
        quiet: the hours in which none goes out; None sends at any time.
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
        self._quiet = quiet

    async def handle(self, record: Record) -> None:
        """Take one record of requests.completed, requests.status or documents.printed.

        Raises:
            Poison: nobody can be told, now or later.
            Retry, StoreUnavailable, KafkaUnavailable: not now.
        """
        if record.topic == topics.DOCUMENTS_PRINTED and not _may_be_without_paper(record):
            return
        try:
            event = decode(record.value, record.headers)
        except MalformedEventError as error:
            raise Poison(str(error)) from error
        with request_context(event.body.request_id):
            match event.body:
                case RequestCompleted() | RequestStatus() | PrintReported() as body:
                    news = _news_of(body, record, repeat=event.repeat)
                    if news is not None:
                        await self._tell_of(news)
                case DocumentStored():
                    pass
                case other:
                    raise Poison(f"{other.TYPE} does not belong on {record.topic}")

    async def _tell_of(self, news: _News) -> None:
        try:
            message = self._message(news)
        except KeyDestroyedError:
            await self._nobody_to_tell(news)
            return
        try:
            guard, seen = await self._deliver(news, message)
        except StrandedMessageError as stranded:
            await self._held(news, stranded.guard)
            return
        faultpoints.reached("notify.before_report")
        await self._report(news, guard, repeat=news.repeat or seen)
        faultpoints.reached("notify.after_report")

    async def _deliver(self, news: _News, message: TextMessage) -> tuple[Guard, bool]:
        if self._is_too_old(news.at):
            return await self._delivery.suppress(message, TOO_OLD)
        if self._opted_out(message.to):
            return await self._delivery.suppress(message, OPTED_OUT)
        if self._quiet is not None and (left := self._quiet.left(self._clock.now())):
            raise Retry("quiet hours", after=max(1.0, self._clock.real_seconds(left)))
        record = news.record
        doubtful = await self._restored.may_lack_guard(record.timestamp_ms, record.headers)
        return await self._delivery.deliver(message, doubtful=doubtful)

    def _opted_out(self, number: str) -> bool:
        """Return True if the owner of this number wants no messages, as far as can be read: a
        record that cannot be decoded says that the owner said something.

        Raises:
            Retry: the register has a hole, in which any number may be.
        """
        if (hole := self._optouts.hole) is not None:
            raise Retry(hole, after=_HOLE_PAUSE_S)
        digest = optout_key(self._secret, number)
        return self._optouts.in_doubt(digest) or self._optouts.get(digest) is not None

    def _is_too_old(self, at: datetime) -> bool:
        """Return True if a guard of that moment may have ended, so that nobody knows whether the
        message was sent. Guards live by the wall clock, events by the business clock."""
        age = timedelta(seconds=self._clock.real_seconds(self._clock.now() - at))
        return age > topics.GUARDS_KEPT

    async def _nobody_to_tell(self, news: _News) -> None:
        """The number went with its key. What became of the message is said by its guard; where
        there is none it was not sent, and that is on record."""
        guard = await self._guards.of(news.request_id, news.template, news.time)
        if guard is not None:
            seen = guard.state.over
            try:
                guard = await self._delivery.withhold(guard, DESTROYED)
            except StrandedMessageError as stranded:
                await self._held(news, stranded.guard)
            else:
                await self._report(news, guard, repeat=news.repeat or seen)
            return
        name = derived_id("message", news.request_id, news.template, "destroyed")
        await self._say(
            news, name, "suppressed", provider=None, at=news.at, reason=DESTROYED,
            repeat=news.repeat,
        )  # fmt: skip

    def _message(self, news: _News) -> TextMessage:
        applicant = self._applicant(news)
        contact = applicant.contact
        if contact is None:
            raise Poison("the applicant has no number to send to")
        if news.template is MessageTemplate.COMPLETED:
            text = completed_text(applicant, news.item, on_paper=news.on_paper)
        else:
            text = status_text(applicant, news.item, news.template, self._reason(news))
        name = reference(
            self._secret,
            request_id=news.request_id,
            template=news.template,
            number=contact.number,
            time=news.time,
        )
        return TextMessage(name, news.request_id, news.template, contact.number, text, news.time)

    def _reason(self, news: _News) -> str | None:
        """Return why: the author's own words where they were sealed, else the text in clear.

        The applicant's part was opened before it: the key is there.
        """
        if part_of(news.sealed, REASON) is None:
            return news.reason
        try:
            return str(self._keys.open(news.request_id, news.sealed, REASON))
        except UnreadableEnvelopeError:
            return news.reason  # the message matters more than its words

    def _applicant(self, news: _News) -> MessageApplicant:
        with opening_envelope():
            applicant = self._keys.open(news.request_id, news.sealed, "applicant")
        try:
            return MessageApplicant.model_validate(applicant)
        except ValidationError as error:
            raise Poison(f"applicant: {wrong_fields(error, of=MessageApplicant)}") from None

    async def _held(self, news: _News, guard: Guard) -> None:
        """The message waits until its provider is configured again (`stranded`). What comes of it
        then is another event, so this one has another id."""
        if guard.state is not GuardState.STRANDED:
            try:
                guard = await self._guards.strand(guard, news.record)
            except GuardOvertakenError:
                raise Retry("another process has the message", after=1.0) from None
        await self._say(
            news, guard.reference, "held", provider=guard.provider, at=news.at, reason=STRANDED,
            repeat=news.repeat,
        )  # fmt: skip

    async def _report(self, news: _News, guard: Guard, *, repeat: bool) -> None:
        assert guard.at is not None  # noqa: S101 - what is over has its time
        await self._say(
            news, guard.reference, _STATUS[guard.state], provider=guard.provider, at=guard.at,
            reason=guard.reason, repeat=repeat,
        )  # fmt: skip

    async def _say(
        self,
        news: _News,
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
                request_id=news.request_id,
                reference=name,
                template=news.template,
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
    """Return False for the most of documents.printed, which is about paper that came or may yet
    come: decoding all of it would cost more than all messages do."""
    return any(status in (record.value or b"") for status in _NO_PAPER.values())


def _news_of(
    body: RequestCompleted | RequestStatus | PrintReported, record: Record, *, repeat: bool
) -> _News | None:
    """Return what a person is to be told of an event, None where there is nothing."""
    match body:
        case RequestCompleted():
            return _News(
                body.request_id, MessageTemplate.COMPLETED, body.item.name, body.sealed,
                body.completed_at, repeat, record,
                on_paper=body.print and bool(body.documents or body.item.template),
            )  # fmt: skip
        case RequestStatus():
            # A republished entry is for a read model that is rebuilt: its applicant was told when
            # it was new.
            if body.note or body.republished or body.status not in OF_STATUS:
                return None
            return _News(
                body.request_id, OF_STATUS[body.status], body.item.name, body.sealed, body.at,
                repeat, record, reason=body.reason, time=body.supplements,
            )  # fmt: skip
        case PrintReported():
            if body.status not in _NO_PAPER or body.sealed is None:
                return None
            return _News(
                body.request_id, MessageTemplate.NOT_PRINTED, body.item_name or "证明", body.sealed,
                body.at, repeat, record, reason=body.reason, time=body.copy_number,
            )  # fmt: skip
