"""A message that may be with a provider that was taken out of the settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tongban_common.envelope import KeyRing
from tongban_common.events import Body, Event, decode, encode
from tongban_common.events.models import (
    ApplicantFacts,
    ItemSnapshot,
    NotificationReported,
    Origin,
    RequestCompleted,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import Poison, Record
from tongban_common.keyring import Ring
from tongban_notify.delivery import Delivery, Stranded
from tongban_notify.guards import Guard, State
from tongban_notify.handler import NotifyHandler
from tongban_notify.messages import Message

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEYS = KeyRing.of(Ring.parse(json.dumps({"active": "k1", "keys": {"k1": "A" * 43}})))


class Topic:
    def __init__(self) -> None:
        self.events: list[Event[Body]] = []

    async def send(self, _: str, *, key: Any, value: Any, headers: Any) -> None:
        assert key == b"r-1"
        self.events.append(decode(value, headers))


class Gone:
    """Its provider is not configured, until it is put back."""

    put_back = False

    async def deliver(self, message: Message) -> tuple[Guard, bool]:
        if not self.put_back:
            raise Stranded("aurora")
        guard = Guard(reference=message.reference, state=State.SENT, provider="aurora", at=NOW)
        return guard, False


def completion() -> Record:
    body = RequestCompleted(
        request_id="r-1",
        item=ItemSnapshot(
            code="1", version=1, name="证明", category="c", province="340000", kind="print",
            template="certificate", promised_days=1,
        ),
        origin=Origin(kiosk_id="k-1", branch_id="b-1", channel="self_service"),
        applicant=ApplicantFacts(type="person", pseudonym="p"), print=True, submitted_at=NOW,
        completed_at=NOW,
        sealed=KEYS.seal(
            "r-1", {"applicant": {"type": "person", "name": "张三", "phone": "13800138000"}}
        ),
    )  # fmt: skip
    value, headers = encode(Event(id="e", source="s", body=body, time=NOW))
    return Record("t", 0, 0, 0, b"r-1", value, headers, maybe_seen=False, assigned_at=0.0)


async def test_it_is_held_for_an_operator_whose_replay_ends_it() -> None:
    topic, delivery = Topic(), Gone()
    handler = NotifyHandler(
        keys=KEYS, delivery=cast(Delivery, delivery), publisher=EventPublisher(topic, "notify"),
        secret="s",
    )  # fmt: skip
    for _ in range(2):  # died after the report, before the dead letter
        with pytest.raises(Poison, match=r"'aurora'.*TONGBAN_SMS_PROVIDERS"):
            await handler.handle(completion())
    delivery.put_back = True
    await handler.handle(completion())
    held, again, sent = topic.events
    assert (held.id, held.body) == (again.id, again.body)
    assert sent.id != held.id
    assert isinstance(held.body, NotificationReported)
    assert isinstance(sent.body, NotificationReported)
    assert (held.body.status, held.body.provider) == ("held", "aurora")
    assert (sent.body.status, sent.body.reference) == ("sent", held.body.reference)
