"""Publish commands to a request, after recognising repeats and checking the request's state.

The ids of the events are derived from request, kind and Idempotency-Key, so that a repeat that is
published again, by another replica, has the same ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_common.envelope import KeyMissingError, KeyRing, UnreadableEnvelopeError
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
from tongban_intake.lru_cache import LruCache
from tongban_intake.problems import Kind, ProblemError, envelope_problems, gone, unreadable_now
from tongban_intake.readmodel.reader import ReadModel
from tongban_intake.readmodel.record import RequestRecord
from tongban_intake.submission.accept import kafka_unavailable
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.values import read_values
from tongban_intake.text import Text
from tongban_kafka import KafkaUnavailableError

_REMEMBERED = 20_000
CommandEvent = SupplementHanded | WithdrawalAsked | PrintOrdered | PrintConfirmed | FeedbackRated


@dataclass(frozen=True, slots=True)
class Command:
    """Identifies a command of a kiosk. `digest` is the keyed digest of its body."""

    kiosk: Kiosk
    request_id: str
    kind: str
    key: str
    digest: str

    @property
    def command_id(self) -> str:
        """Id of the command; a repeat has the same one."""
        return ids.derived_id(self.kind, self.request_id, self.key)

    @property
    def event_id(self) -> str:
        """Id of the event; another body under the same key has another one."""
        return ids.derived_id(self.kind, self.request_id, self.key, self.digest)

    @property
    def rating_id(self) -> str:
        """Id of the request's only rating event. Two replicas that accept a rating each at the same
        moment publish two events with one id, and analysts count the first."""
        return ids.derived_id("rating of", self.request_id)


class CommandService:
    """Publishes commands. Each method returns the id for the 202, the same for a repeat.

    All methods read the store, because only the request's state decides whether a command is
    allowed. They raise StoreUnavailableError, and ProblemError 409, 410, 422 or 503.
    """

    def __init__(
        self,
        *,
        id_secret: str,
        read_model: ReadModel,
        copies: CopyNumbers,
        catalogue_index: CatalogueIndex,
        checker: Checker,
        keys: KeyRing,
        publisher: EventPublisher,
        clock: BusinessClock,
    ) -> None:
        self._secret = id_secret
        self._read_model = read_model
        self._copies = copies
        self._catalogue_index = catalogue_index
        self._checker = checker
        self._keys = keys
        self._publisher = publisher
        self._clock = clock
        self._published: LruCache[str, str] = LruCache(_REMEMBERED)

    def command(
        self, kiosk: Kiosk, request_id: str, kind: str, key: str, body: dict[str, Any]
    ) -> Command:
        """Return the command of an incoming request; `body` is the parsed JSON."""
        return Command(kiosk, request_id, kind, key, ids.body_digest(self._secret, canonical(body)))

    async def supplement(self, command: Command, wanted: Supplement) -> str:
        """Submit the supplement that the province asked for."""
        record = await self._record(command)
        if self._repeated(command, record):
            return command.command_id
        rules.may_supplement(record)
        form = self._checker.supplement(self._catalogue_index.get(record.item.code), wanted.form)
        bare = record.sealed.model_copy(update={"parts": {}})
        with envelope_problems():
            sealed = self._keys.add(command.request_id, bare, {"supplement": form})
        event = SupplementHanded(
            request_id=command.request_id,
            command_id=command.command_id,
            at=self._clock.now(),
            by=command.kiosk.kiosk_id,
            sealed=sealed,
        )
        return await self._publish(command, topics.REQUESTS_COMMANDS, event)

    async def withdraw(self, command: Command) -> str:
        """Withdraw the request."""
        record = await self._record(command)
        if self._repeated(command, record):
            return command.command_id
        rules.may_withdraw(record)
        event = WithdrawalAsked(
            request_id=command.request_id,
            command_id=command.command_id,
            at=self._clock.now(),
            by=command.kiosk.kiosk_id,
        )
        return await self._publish(command, topics.REQUESTS_COMMANDS, event)

    async def print(self, command: Command, wanted: Print) -> str:
        """Order one more set of sheets at the kiosk that sent the command."""
        record = await self._record(command)
        if self._repeated(command, record):
            return command.command_id
        if record.projected and self._keys.destroyed(record.sealed):
            raise gone()
        document_id = rules.document_to_print(
            record,
            wanted,
            kiosk_id=command.kiosk.kiosk_id,
            lobby_manager=command.kiosk.assistant is not None,
        )
        copies = [
            order.line["copy"]
            for order in record.orders
            if order.line["document_id"] in (document_id, None)
        ]
        # Copy 1 is the one that the request itself orders, whether or not it is projected yet.
        above = max([*copies, 1 if record.print else 0])
        number = await self._copies.reserve(
            command.request_id, document_id, command.command_id, above=above
        )
        event = PrintOrdered(
            request_id=command.request_id,
            order_id=command.command_id,
            document_id=document_id,
            kiosk_id=command.kiosk.kiosk_id,
            branch_id=command.kiosk.branch_id,
            copy_number=number,
            at=self._clock.now(),
            by=command.kiosk.kiosk_id,
        )
        return await self._publish(command, topics.PRINT_ORDERS, event)

    async def confirm(self, command: Command, order_id: str, wanted: Confirmation) -> str:
        """Record whether the sheet of a print order came out, as a signed-in lobby manager found.

        Raises:
            ProblemError: also 403, no lobby manager has signed in.
        """
        if command.kiosk.assistant is None:
            raise ProblemError(
                Kind.FORBIDDEN,
                Text("请大堂经理登录后确认", "Only a lobby manager who has signed in may confirm"),
            )
        record = await self._record(command)
        if self._repeated(command, record) or record.confirmed_by(order_id, command.event_id):
            return command.command_id
        order = rules.order_in_question(record, order_id)
        event = PrintConfirmed(
            request_id=command.request_id,
            order_id=order_id,
            seq=order.seq,
            printed=wanted.printed,
            by=command.kiosk.assistant,
            at=self._clock.now(),
        )
        return await self._publish(command, topics.PRINT_ORDERS, event)

    async def rate(self, command: Command, rating: Rating) -> str:
        """Rate the service of a request that has ended, once."""
        record = await self._record(command)
        if self._repeated(command, record):
            return command.command_id
        rules.may_rate(record)
        words, errors = read_values(rating.words, under="/words", lines=lambda _: True)
        if errors:
            raise ProblemError(Kind.INVALID, errors=errors)
        item = record.item
        event = FeedbackRated(
            request_id=command.request_id,
            grade=rating.grade,
            sealed=self._sealed_words(record, words),
            at=self._clock.now(),
            item_code=item.code,
            province=item.province,
            branch_id=command.kiosk.branch_id,
            command_id=command.event_id,
        )
        return await self._publish(
            command, topics.FEEDBACK_RATED, event, event_id=command.rating_id
        )

    async def _record(self, command: Command) -> RequestRecord:
        found = await self._read_model.get(command.request_id)
        # A request that was accepted a moment ago may not be in the read model yet.
        return found or RequestRecord({"_id": command.request_id})

    def _repeated(self, command: Command, record: RequestRecord) -> bool:
        earlier = self._published.get(command.command_id)
        if earlier is None and (stored := record.command(command.command_id)) is not None:
            earlier = stored["event_id"]
        rating = record.rating
        if earlier is None and rating is not None and rating["event_id"] == command.event_id:
            earlier = command.event_id
        if earlier is None:
            return False
        if earlier != command.event_id:
            raise ProblemError(
                Kind.KEY_REUSED,
                Text("同一Idempotency-Key已用于其他内容", "The key came with another body before"),
            )
        return True

    async def _publish(
        self,
        command: Command,
        topic: str,
        event: CommandEvent,
        *,
        event_id: str | None = None,
    ) -> str:
        try:
            await self._publisher.publish(
                topic, event, event_id=event_id or command.event_id, at=event.at
            )
        except KafkaUnavailableError:
            raise kafka_unavailable() from None
        self._published.put(command.command_id, command.event_id)
        return command.command_id

    def _sealed_words(self, record: RequestRecord, words: str | None) -> Sealed | None:
        """Seal what an applicant wrote, because it may name anyone. Return None where nothing was
        written, or where the key of the request was destroyed."""
        if not words:
            return None
        try:
            return seal(self._keys, record.request_id, record.sealed, words=words)
        except KeyMissingError:
            raise unreadable_now() from None
        except UnreadableEnvelopeError:
            return None
