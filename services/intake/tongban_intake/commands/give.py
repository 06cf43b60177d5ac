"""Giving a command: recognised if it came before, refused where the state forbids it, else put on
Kafka with ids derived from request, kind and key."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_common.envelope import KeyMissingError, KeyRing, UnreadableEnvelopeError
from tongban_common.events import Body
from tongban_common.events.models import (
    FeedbackRated,
    PrintConfirmed,
    PrintOrdered,
    Sealed,
    SupplementHanded,
    WithdrawalAsked,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.private_texts import seal
from tongban_intake.access.tokens import Kiosk
from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.commands import rules
from tongban_intake.commands.copies import CopyNumbers
from tongban_intake.commands.models import Confirmation, Print, Rating, Supplement
from tongban_intake.http.body import canonical
from tongban_intake.problems import Kind, ProblemError, gone, unreadable_now
from tongban_intake.readmodel.reader import ReadModel
from tongban_intake.readmodel.record import RequestRecord
from tongban_intake.submission.accept import kafka_unavailable
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.values import read_values
from tongban_intake.text import Text
from tongban_kafka import KafkaUnavailableError

_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Command:
    """Who asks what of which request, under which key."""

    kiosk: Kiosk
    request_id: str
    kind: str
    key: str
    digest: str

    @property
    def command_id(self) -> str:
        """Names the command; the same for its repeats."""
        return ids.derived_id(self.kind, self.request_id, self.key)

    @property
    def event_id(self) -> str:
        """Names the command with its body: another body under the key has another one."""
        return ids.derived_id(self.kind, self.request_id, self.key, self.digest)

    @property
    def rating_id(self) -> str:
        """Names the request's rating, of which there is one: two replicas that take a rating each
        at the same moment write two events of one id, and analysts count the first."""
        return ids.derived_id("rating of", self.request_id)


class Commands:
    """The commands. Each returns the id that its 202 carries, the same for a repeat.

    All need the store: what the state forbids cannot be told without it. They raise
    StoreUnavailable, and Problem 409, 422 or 503.
    """

    def __init__(
        self,
        *,
        id_secret: str,
        read_model: ReadModel,
        copies: CopyNumbers,
        offers: CatalogueIndex,
        checker: Checker,
        keys: KeyRing,
        publisher: EventPublisher,
        clock: BusinessClock,
    ) -> None:
        self._secret = id_secret
        self._read_model = read_model
        self._copies = copies
        self._offers = offers
        self._checker = checker
        self._keys = keys
        self._publisher = publisher
        self._clock = clock
        self._given: OrderedDict[str, str] = OrderedDict()

    def asked(
        self, kiosk: Kiosk, request_id: str, kind: str, key: str, body: dict[str, Any]
    ) -> Command:
        """A command as it came."""
        return Command(kiosk, request_id, kind, key, ids.body_digest(self._secret, canonical(body)))

    async def supplement(self, asked: Command, wanted: Supplement) -> str:
        """Hand in what the province asked for."""
        record = await self._record(asked)
        if self._repeated(asked, record):
            return asked.command_id
        rules.may_supplement(record)
        form = self._checker.supplement(self._offers.get(record.item.code), wanted.form)
        now = self._clock.now()
        bare = record.sealed.model_copy(update={"parts": {}})
        try:
            sealed = self._keys.add(asked.request_id, bare, {"supplement": form})
        except KeyMissingError:
            raise unreadable_now() from None
        except UnreadableEnvelopeError:
            raise gone() from None
        event = SupplementHanded(
            request_id=asked.request_id,
            command_id=asked.command_id,
            at=now,
            by=asked.kiosk.kiosk_id,
            sealed=sealed,
        )
        return await self._give(asked, topics.REQUESTS_COMMANDS, event, now)

    async def withdraw(self, asked: Command) -> str:
        """Ask for the request back."""
        record = await self._record(asked)
        if self._repeated(asked, record):
            return asked.command_id
        rules.may_withdraw(record)
        now = self._clock.now()
        event = WithdrawalAsked(
            request_id=asked.request_id,
            command_id=asked.command_id,
            at=now,
            by=asked.kiosk.kiosk_id,
        )
        return await self._give(asked, topics.REQUESTS_COMMANDS, event, now)

    async def print(self, asked: Command, wanted: Print) -> str:
        """Order one more sheet set at the kiosk that asks."""
        record = await self._record(asked)
        if self._repeated(asked, record):
            return asked.command_id
        if record.projected and self._keys.destroyed(record.sealed):
            raise gone()
        document_id = rules.document_to_print(
            record,
            wanted,
            kiosk_id=asked.kiosk.kiosk_id,
            lobby_manager=asked.kiosk.assistant is not None,
        )
        copies = [
            order.line["copy"]
            for order in record.orders
            if order.line["document_id"] in (document_id, None)
        ]
        # The first copy belongs to the request itself, heard of or not.
        above = max([*copies, 1 if record.print else 0])
        number = await self._copies.reserve(
            asked.request_id, document_id, asked.command_id, above=above
        )
        now = self._clock.now()
        event = PrintOrdered(
            request_id=asked.request_id,
            order_id=asked.command_id,
            document_id=document_id,
            kiosk_id=asked.kiosk.kiosk_id,
            branch_id=asked.kiosk.branch_id,
            copy_number=number,
            at=now,
            by=asked.kiosk.kiosk_id,
        )
        return await self._give(asked, topics.PRINT_ORDERS, event, now)

    async def confirm(self, asked: Command, order_id: str, wanted: Confirmation) -> str:
        """Answer whether the sheet of a print order came out; for a signed-in lobby manager."""
        if asked.kiosk.assistant is None:
            raise ProblemError(
                Kind.FORBIDDEN,
                Text("请大堂经理登录后确认", "Only a lobby manager who has signed in may confirm"),
            )
        record = await self._record(asked)
        if self._repeated(asked, record) or record.confirmed_by(order_id, asked.event_id):
            return asked.command_id
        order = rules.order_in_question(record, order_id)
        now = self._clock.now()
        event = PrintConfirmed(
            request_id=asked.request_id,
            order_id=order_id,
            seq=order.seq,
            printed=wanted.printed,
            by=asked.kiosk.assistant,
            at=now,
        )
        return await self._give(asked, topics.PRINT_ORDERS, event, now)

    async def rate(self, asked: Command, rating: Rating) -> str:
        """Say how it was."""
        record = await self._record(asked)
        if self._repeated(asked, record):
            return asked.command_id
        rules.may_rate(record)
        words, errors = read_values(rating.words, under="/words", lines=lambda _: True)
        if errors:
            raise ProblemError(Kind.INVALID, errors=errors)
        item = record.item
        now = self._clock.now()
        event = FeedbackRated(
            request_id=asked.request_id,
            grade=rating.grade,
            sealed=self._sealed_words(record, words),
            at=now,
            item_code=item.code,
            province=item.province,
            branch_id=asked.kiosk.branch_id,
            command_id=asked.event_id,
        )
        return await self._give(asked, topics.FEEDBACK_RATED, event, now, event_id=asked.rating_id)

    async def _record(self, asked: Command) -> RequestRecord:
        found = await self._read_model.get(asked.request_id)
        # Accepted a moment ago: nothing but its being submitted is known.
        return found or RequestRecord({"_id": asked.request_id})

    def _repeated(self, asked: Command, record: RequestRecord) -> bool:
        given = self._given.get(asked.command_id)
        if given is None and (command := record.command(asked.command_id)) is not None:
            given = command["event_id"]
        rating = record.rating
        if given is None and rating is not None and rating["event_id"] == asked.event_id:
            given = asked.event_id
        if given is None:
            return False
        if given != asked.event_id:
            raise ProblemError(
                Kind.KEY_REUSED,
                Text("同一Idempotency-Key已用于其他内容", "The key came with another body before"),
            )
        return True

    async def _give(
        self, asked: Command, topic: str, event: Body, now: datetime, *, event_id: str | None = None
    ) -> str:
        try:
            await self._publisher.publish(topic, event, event_id=event_id or asked.event_id, at=now)
        except KafkaUnavailableError:
            raise kafka_unavailable() from None
        self._given[asked.command_id] = asked.event_id
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return asked.command_id

    def _sealed_words(self, record: RequestRecord, words: str | None) -> Sealed | None:
        """Seal what an applicant wrote: it may name anyone. None where nothing was written, or
        where the key of the request was destroyed."""
        if not words:
            return None
        try:
            return seal(self._keys, record.request_id, record.sealed, words=words)
        except KeyMissingError:
            raise unreadable_now() from None
        except UnreadableEnvelopeError:
            return None
