"""An acceptor and a look-up without broker and store."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tongban_common.catalogue import Item
from tongban_common.catalogue.holidays import load_holidays
from tongban_common.clock import BusinessClock
from tongban_common.envelope import KeyRing
from tongban_common.events import decode
from tongban_common.events.models import RequestSubmitted
from tongban_common.events.publisher import EventPublisher
from tongban_common.settings import CommonSettings
from tongban_common.store import StoreUnavailableError
from tongban_intake.access.tokens import Kiosk
from tongban_intake.applicants import SealedApplicants, applying_key
from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.http.limits import KioskSlots, Slots
from tongban_intake.submission.accept import Acceptor
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.repeats import Lookup, Recent
from tongban_kafka import Record
from tongban_ops.catalogue.loader import load

CATALOGUE = Path(__file__).parents[3] / "catalogue"
KEYS = KeyRing.parse(CommonSettings().keyring.get_secret_value())
SECRET = "s" * 32


@cache
def items() -> list[Item]:
    """All items of the catalogue."""
    return list(load(CATALOGUE))


def personal() -> Item:
    """Some item for a person."""
    return next(each for each in items() if each.example_applicant["type"] == "person")


def kiosk(number: int = 1, branch: int = 1, **more: Any) -> Kiosk:
    """A kiosk with a token that is good for ever."""
    return Kiosk(f"kiosk-{number:03}", f"branch-{branch:02}", "local", 1 << 40, **more)


class Topic:
    """A producer that keeps what it is given, in place of Kafka."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def send(
        self, topic: str, *, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        self.records.append(
            Record(topic, 0, len(self.records), 0, key, value, tuple(headers), False, 0.0)
        )


class Readable:
    """A read model of a few documents. While `down`, it answers nothing."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = list(documents)
        self.calls: list[tuple[str, int]] = []
        self.down = False

    async def accepted(self, request_ids: list[str], *, seconds: float) -> list[dict[str, Any]]:
        assert seconds > 0
        self.calls.append(("accepted", len(request_ids)))
        return self._those("_id", request_ids)

    async def open_for(self, keys: list[str], *, seconds: float) -> list[dict[str, Any]]:
        assert seconds > 0
        self.calls.append(("open_for", len(keys)))
        return self._those("applying", keys)

    def _those(self, field: str, values: list[str]) -> list[dict[str, Any]]:
        if self.down:
            raise StoreUnavailableError("down")
        return [each for each in self.documents if each.get(field) in values]

    def project(self, submitted: RequestSubmitted) -> None:
        """Act as if the first status of this request had been projected."""
        self.documents.append(
            {
                "_id": submitted.request_id,
                "body_digest": submitted.body_digest,
                "applying": applying_key(submitted.item.code, submitted.applicant.pseudonym),
                "origin": {"branch_id": submitted.origin.branch_id},
                "sealed": submitted.sealed.model_dump(),
                "notes": [n.model_dump(exclude_none=True) for n in submitted.notes or ()],
            }
        )


class Door:
    """One replica's acceptor. `complete` is whether the read model knows all that was accepted."""

    def __init__(self, readable: Readable | None = None, *, topic: Topic | None = None) -> None:
        self.readable = readable or Readable()
        self.topic = topic or Topic()
        self.complete = True
        self.clock = BusinessClock.parse("2026-03-04T10:00:00+08:00@1")
        index = CatalogueIndex()
        for item in items():
            index.change(item.code, item)
        self.acceptor = Acceptor(
            id_secret=SECRET,
            checker=Checker(index),
            recent=Recent(100),
            lookup=Lookup(
                self.readable,  # type: ignore[arg-type]
                seconds=1,
                applicant_of=SealedApplicants(KEYS, SECRET).digest,
                complete=lambda: self.complete,
            ),
            holidays=load_holidays(CATALOGUE),
            keys=KEYS,
            publisher=EventPublisher(self.topic, "test"),
            clock=self.clock,
            slots=Slots(10),
            kiosk_slots=KioskSlots(10),
            pseudonym_secret=SECRET,
            sign_in=False,
        )

    @property
    def last(self) -> RequestSubmitted:
        """The event of the last submission."""
        record = self.topic.records[-1]
        body = decode(record.value, record.headers).body
        assert isinstance(body, RequestSubmitted)
        return body


def body(item: Item | None = None, **applicant: Any) -> dict[str, Any]:
    """A submission of an item's examples, with parts of the applicant changed."""
    chosen = item or personal()
    return {
        "item_code": chosen.code,
        "channel": "self_service",
        "applicant": {**chosen.example_applicant, **applicant},
        "form": chosen.example_form,
    }
