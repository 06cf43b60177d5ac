"""What notify does with a record: who is to be told what, once, and a report of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from tongban_common import faultpoints, topics
from tongban_common.domain.ids import derived_id
from tongban_common.envelope import Destroyed, KeyMissing, KeyRing, Unreadable
from tongban_common.events import MalformedEvent, decode, wrong_fields
from tongban_common.events.models import (
    NotificationReported,
    RequestCompleted,
    RequestStatus,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import Poison, Record, Retry
from tongban_common.observability import request_context
from tongban_common.private_texts import REASON, part_of
from tongban_notify.delivery import Delivery, Stranded
from tongban_notify.guards import Guard, State
from tongban_notify.messages import (
    OF_STATUS,
    Applicant,
    Message,
    Template,
    completed_text,
    reference,
    status_text,
)

DESTROYED = "个人信息已按期销毁，未发送"
STRANDED = "短信服务商已停用，无法确认是否已发送"
KEY_PAUSE_S = 2.0
"""Until the key ring is looked at again for a key that has not come yet."""


class NotifyHandler:
    """The handler of the worker group `notify`; a repeat of a record sends no second message.

    Args:
        secret: keys the recipients' numbers in references; to be kept as long as requests are.
    """

    def __init__(
        self, *, keys: KeyRing, delivery: Delivery, publisher: EventPublisher, secret: str
    ) -> None:
        self._keys = keys
        self._delivery = delivery
        self._publisher = publisher
        self._secret = secret

    async def handle(self, record: Record) -> None:
        """Take one record of requests.completed or requests.status.

        Raises:
            Poison: nobody can be told, now or later.
            Retry, StoreUnavailable, KafkaUnavailable: not now.
        """
        try:
            event = decode(record.value, record.headers)
        except MalformedEvent as error:
            raise Poison(str(error)) from error
        with request_context(event.body.request_id):
            match event.body:
                case RequestCompleted() as body:
                    await self._tell_of(body, Template.COMPLETED, repeat=event.repeat)
                case RequestStatus() as body:
                    if not body.note and body.status in OF_STATUS:
                        await self._tell_of(body, OF_STATUS[body.status], repeat=event.repeat)
                case other:
                    raise Poison(f"{other.TYPE} does not belong on {record.topic}")

    async def _tell_of(
        self, body: RequestCompleted | RequestStatus, template: Template, *, repeat: bool
    ) -> None:
        try:
            message = (
                self._of_completion(body)
                if isinstance(body, RequestCompleted)
                else self._of_status(body)
            )
        except Destroyed:
            await self._nobody_to_tell(body, template, repeat=repeat)
        else:
            await self._tell(message, at=_time_of(body), repeat=repeat)

    async def _nobody_to_tell(
        self, body: RequestCompleted | RequestStatus, template: Template, *, repeat: bool
    ) -> None:
        """The number went with its key: on record as not sent, and nothing for an operator."""
        at = _time_of(body)
        name = derived_id("message", body.request_id, template, "destroyed")
        await self._say(
            NotificationReported(
                request_id=body.request_id,
                reference=name,
                template=template,
                channel="sms",
                status="suppressed",
                provider=None,
                at=at,
                reason=DESTROYED,
            ),
            repeat=repeat,
        )

    def _of_completion(self, body: RequestCompleted) -> Message:
        applicant = self._applicant(body)
        on_paper = body.print and bool(body.documents or body.item.template)
        text = completed_text(applicant, body.item.name, on_paper=on_paper)
        return self._message(body.request_id, Template.COMPLETED, applicant, text)

    def _of_status(self, body: RequestStatus) -> Message:
        applicant = self._applicant(body)
        template = OF_STATUS[body.status]
        text = status_text(applicant, body.item.name, template, self._reason(body))
        return self._message(body.request_id, template, applicant, text, time=body.supplements)

    def _reason(self, body: RequestStatus) -> str | None:
        """Return why: the author's own words where they were sealed, else the text in clear.

        The applicant's part was opened before it: the key is there.
        """
        if part_of(body.sealed, REASON) is None:
            return body.reason
        try:
            return str(self._keys.open(body.request_id, body.sealed, REASON))
        except Unreadable:
            return body.reason  # the message matters more than its words

    def _applicant(self, body: RequestCompleted | RequestStatus) -> Applicant:
        try:
            return Applicant.model_validate(
                self._keys.open(body.request_id, body.sealed, "applicant")
            )
        except Destroyed:
            raise
        except KeyMissing as error:
            raise Retry(str(error), after=KEY_PAUSE_S) from error
        except Unreadable as error:
            raise Poison(str(error)) from error
        except ValidationError as error:
            raise Poison(f"applicant: {wrong_fields(error, of=Applicant)}") from None

    def _message(
        self,
        request_id: str,
        template: Template,
        applicant: Applicant,
        text: str,
        *,
        time: int | None = None,
    ) -> Message:
        contact = applicant.contact
        if contact is None:
            raise Poison("the applicant has no number to send to")
        name = reference(
            self._secret,
            request_id=request_id,
            template=template,
            number=contact.number,
            time=time,
        )
        return Message(name, request_id, template, contact.number, text)

    async def _tell(self, message: Message, *, at: datetime, repeat: bool) -> None:
        try:
            guard, seen = await self._delivery.deliver(message)
        except Stranded as stranded:
            await self._held(message, stranded.provider, at=at, repeat=repeat)
            raise Poison(
                f"the message may be with provider {stranded.provider!r}, which is not configured: "
                "put it back into TONGBAN_SMS_PROVIDERS, as the last, and replay"
            ) from None
        faultpoints.reached("notify.before_report")
        await self._report(message, guard, repeat=repeat or seen)
        faultpoints.reached("notify.after_report")

    async def _held(self, message: Message, provider: str, *, at: datetime, repeat: bool) -> None:
        """An operator is to decide. What comes of it is another event, so this has another id."""
        await self._say(
            NotificationReported(
                request_id=message.request_id,
                reference=message.reference,
                template=message.template,
                channel="sms",
                status="held",
                provider=provider,
                at=at,
                reason=STRANDED,
            ),
            "held",
            repeat=repeat,
        )

    async def _report(self, message: Message, guard: Guard, *, repeat: bool) -> None:
        status: Literal["sent", "refused"] = "sent" if guard.state is State.SENT else "refused"
        assert guard.at is not None  # noqa: S101 - what is over has its time
        await self._say(
            NotificationReported(
                request_id=message.request_id,
                reference=guard.reference,
                template=message.template,
                channel="sms",
                status=status,
                provider=guard.provider,
                at=guard.at,
                reason=guard.reason,
            ),
            repeat=repeat,
        )

    async def _say(self, report: NotificationReported, *which: str, repeat: bool) -> None:
        """`which` tells a report from another one about the same message."""
        await self._publisher.publish(
            topics.NOTIFICATIONS_SENT,
            report,
            event_id=derived_id("notification-reported", report.reference, *which),
            at=report.at,
            repeat=repeat,
        )


def _time_of(body: RequestCompleted | RequestStatus) -> datetime:
    """Business time of what people are told; the same in every repeat."""
    return body.completed_at if isinstance(body, RequestCompleted) else body.at
