"""Write the events of many requests to a broker, made from the event models and not by services.

An event of each item and step is encoded once by `tongban_common.events.encode`, with marks where
requests differ: ids, moments, branch, kiosk, age band and channel. A million requests are then
written as fast as bytes can be replaced. Sealed parts have the size of real ones and are random.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from confluent_kafka import Producer

from tongban_common import topics
from tongban_common.clock import CHINA
from tongban_common.domain.status import CallKind, OutcomeKind, PrintStatus, Status
from tongban_common.events import Event, encode, models
from tongban_common.events.models import Body

Message = tuple[str, bytes, bytes, list[tuple[str, bytes]]]
"""Topic, key, value and headers."""
BANDS = ("18-29", "30-44", "45-59", "60-74", "75+")
DISTRICTS = ("310101", "310104", "310106", "310109", "310112", "310115", "320104", "330106")
_MARK_TIME = datetime(2001, 1, 1, 1, 1, 1, 111111, CHINA)
_ID, _UNIQUE, _BRANCH, _KIOSK, _BAND = "@REQUEST@", "@UNIQUE@", "@BRANCH@", "@KIOSK@", "@BAND@"
_DEADLINE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Kind:
    """An item as events carry it."""

    code: str
    name: str
    category: str
    province: str
    kind: Any


def catalogue(count: int, seed: int = 1) -> list[Kind]:
    """Return this many items of all provinces and kinds."""
    rng = random.Random(seed)
    return [
        Kind(
            code=f"11{topics.PROVINCES[number % 31]}{number:09d}",
            name="社会保险参保缴费证明",
            category=f"category_{number // 31}",
            province=topics.PROVINCES[number % 31],
            kind=rng.choice(("query", "handle", "print")),
        )
        for number in range(count)
    ]


def _sealed(rng: random.Random, *sizes: int) -> models.Sealed:
    def text(size: int) -> str:
        return base64.urlsafe_b64encode(rng.randbytes(size)).decode()

    names = ("applicant", "form", "result")
    parts = {name: text(size) for name, size in zip(names, sizes, strict=False)}
    return models.Sealed(kid="2026-11", key=text(60), parts=parts)


class Templates:
    """The encoded events of an item, each with the number of moments that it carries."""

    def __init__(self, item: Kind, channel: Any) -> None:
        rng = random.Random(item.code)
        self._item = models.ItemSnapshot(
            code=item.code, version=3, name=item.name, category=item.category,
            province=item.province, kind=item.kind, promised_days=3,
            template="certificate" if item.kind == "print" else None,
        )  # fmt: skip
        self._origin = models.Origin(kiosk_id=_KIOSK, branch_id=_BRANCH, channel=channel)
        self._applicant = models.ApplicantFacts(
            type="person", pseudonym="ab" * 12, region="31", age_band=_BAND
        )
        self._sealed = _sealed(rng, 200, 120)
        self._result = _sealed(rng, 400)
        self._document = models.DocumentRef(
            document_id=_UNIQUE, title=item.name, pages=1, sha256="ab" * 32
        )
        self._province = item.province

    @cache  # noqa: B019 - as many as items, for the length of a run
    def status(self, seq: int, status: str, cause: str | None = None) -> Message:
        return self._encoded(
            topics.REQUESTS_STATUS,
            models.RequestStatus(
                request_id=_ID, seq=seq, status=Status(status), at=_MARK_TIME, by="router",
                cause=cause, item=self._item, origin=self._origin, applicant=self._applicant,
                submitted_at=_MARK_TIME.replace(microsecond=222222), print=True,
                body_digest="cd" * 16, sealed=self._sealed,
            ),
        )  # fmt: skip

    @cache  # noqa: B019 - as above
    def call(self, call: str, call_id: str) -> Message:
        return self._encoded(
            topics.province_requests(self._province),
            models.ProvinceCall(
                request_id=_ID, call=CallKind(call), call_id=call_id, at=_MARK_TIME,
                item=self._item, not_after=_MARK_TIME.replace(microsecond=222222) + _DEADLINE,
                sealed=self._sealed,
            ),
        )  # fmt: skip

    @cache  # noqa: B019 - as above
    def outcome(self, call: str, call_id: str, outcome: str, cause: str | None = None) -> Message:
        ended = outcome == "completed"
        return self._encoded(
            topics.REQUESTS_OUTCOMES,
            models.ProvinceOutcome(
                request_id=_ID, province=self._province, call=CallKind(call), call_id=call_id,
                outcome=OutcomeKind(outcome), at=_MARK_TIME, cause=cause,
                documents=[self._document] if ended else [],
                sealed=self._result if ended else None,
            ),
        )  # fmt: skip

    @cache  # noqa: B019 - as above
    def printed(self, seq: int, status: str) -> Message:
        return self._encoded(
            topics.DOCUMENTS_PRINTED,
            models.PrintReported(
                request_id=_ID, order_id=_UNIQUE, document=self._document, kiosk_id=_KIOSK,
                branch_id=_BRANCH, copy_number=1, status=PrintStatus(status), seq=seq,
                at=_MARK_TIME,
            ),
        )  # fmt: skip

    @cache  # noqa: B019 - as above
    def stored(self) -> Message:
        body = models.DocumentStored(request_id=_ID, document=self._document, at=_MARK_TIME)
        return self._encoded(topics.DOCUMENTS_PRINTED, body)

    @cache  # noqa: B019 - as above
    def message(self, template: str) -> Message:
        body = models.NotificationReported(
            request_id=_ID, reference=_UNIQUE, template=template, channel="sms", status="sent",
            provider="one", at=_MARK_TIME,
        )  # fmt: skip
        return self._encoded(topics.NOTIFICATIONS_SENT, body)

    @cache  # noqa: B019 - as above
    def rating(self, grade: int) -> Message:
        body = models.FeedbackRated(
            request_id=_ID, grade=grade, at=_MARK_TIME, item_code=self._item.code,
            province=self._province, branch_id=_BRANCH,
        )  # fmt: skip
        return self._encoded(topics.FEEDBACK_RATED, body)

    @staticmethod
    def _encoded(topic: str, body: Body) -> Message:
        event = Event(id=_UNIQUE, source="tongban/bench", body=body, time=_MARK_TIME)
        value, headers = encode(event)
        return topic, _ID.encode(), value, headers


_MARKED = b"2001-01-01T01:01:01.111111+08:00"
_SUBMITTED = b"2001-01-01T01:01:01.222222+08:00"


def _filled(template: Message, marks: list[tuple[bytes, bytes]], at: datetime) -> Message:
    topic, key, value, headers = template
    moment = at.isoformat().encode()
    for mark, text in (*marks, (_MARKED, moment)):
        value = value.replace(mark, text)
    request = marks[0][1]
    shown = {"ce_id": marks[1][1], "ce_time": moment, "ce_subject": request}
    headers = [(name, shown.get(name, old)) for name, old in headers]
    return topic, key.replace(_ID.encode(), request), value, headers


class Population:
    """Requests with their branches, applicants and ways, the same for the same seed."""

    def __init__(
        self, first_day: datetime, *, days: int, items: int = 1346, branches: int = 200,
        seed: int = 1,
    ) -> None:  # fmt: skip
        self._rng = random.Random(seed)
        self._first, self._days = first_day, days
        kinds = catalogue(items)
        self._templates = [
            {channel: Templates(kind, channel) for channel in ("self_service", "assisted")}
            for kind in kinds
        ]
        self._kinds = kinds
        # A few items are asked for most of the time.
        self._weights = [1 / (number + 1) for number in range(items)]
        self._totals: list[float] = []
        for weight in self._weights:
            self._totals.append(weight + (self._totals[-1] if self._totals else 0))
        self._branches = [
            f"b-{DISTRICTS[number % len(DISTRICTS)]}-{number:02d}" for number in range(branches)
        ]
        self.counts: dict[str, int] = {}

    def request(self, number: int) -> Iterator[Message]:
        """Yield the events of one request, in their order."""
        rng = self._rng
        index = rng.choices(range(len(self._kinds)), cum_weights=self._totals)[0]
        kind = self._kinds[index]
        templates = self._templates[index][rng.choices(("self_service", "assisted"), (3, 1))[0]]
        at = self._first + timedelta(
            days=rng.randrange(self._days), hours=9 + rng.triangular(0, 8, 2)
        )
        branch = rng.choice(self._branches)
        marks = [
            (_ID.encode(), f"r-{number:029d}".encode()),
            (_UNIQUE.encode(), f"{number:032x}".encode()),
            (_BRANCH.encode(), branch.encode()),
            (_KIOSK.encode(), b"k-" + branch[2:].encode()),
            (_BAND.encode(), rng.choice(BANDS).encode()),
            (_SUBMITTED, at.isoformat().encode()),
        ]
        for template, after in self._way(templates, kind):
            yield _filled(template, marks, at + timedelta(seconds=after))

    def _way(self, made: Templates, kind: Kind) -> Iterator[tuple[Message, float]]:
        """Yield the events of one way and the seconds after the submission."""
        rng = self._rng
        yield made.status(1, "submitted"), 0.0
        yield made.status(2, "routed"), (at := rng.uniform(0.1, 0.6))
        yield made.call("submit", "c-1-" + _UNIQUE), at
        seq = 3
        if rng.random() < 0.05:
            cause = rng.choice(("closed", "down", "throttled"))
            yield made.outcome("submit", "c-1-" + _UNIQUE, "waiting", cause), (at := at + 1)
            yield made.status(seq, "waiting_for_province", cause), at
            seq, at = seq + 1, at + rng.expovariate(1 / 3600)
        at += rng.lognormvariate(0, 0.6)
        if rng.random() < 0.03:
            yield made.outcome("submit", "c-1-" + _UNIQUE, "rejected"), at
            yield made.status(seq, "rejected", "province"), at + 0.1
            yield made.message("rejected"), at + 3
            self._count("rejected")
            return
        yield made.outcome("submit", "c-1-" + _UNIQUE, "accepted"), at
        yield made.status(seq, "accepted"), (at := at + 0.1)
        yield made.call("poll", "c-2-" + _UNIQUE), at
        at += rng.lognormvariate(3, 1)
        yield made.outcome("poll", "c-2-" + _UNIQUE, "completed"), at
        yield made.status(seq + 1, "completed"), (at := at + 0.1)
        yield made.message("completed"), at + 2
        if kind.kind == "print":
            yield made.stored(), at + 0.5
            yield made.printed(1, "queued"), at + 0.6
            yield made.printed(2, "printed"), at + rng.uniform(4, 30)
            self._count("printed")
        if rng.random() < 0.25:
            yield made.rating(rng.choices((1, 2, 3, 4, 5), (1, 1, 3, 10, 20))[0]), at + 60
            self._count("rated")
        self._count("completed")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def write_requests(
    bootstrap: str,
    population: Population,
    numbers: range,
    *,
    settings: dict[str, Any] | None = None,
) -> int:
    """Write the events of these requests; return how many there were."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 200_000,
            **(settings or {}),
        }
    )
    written = 0
    for number in numbers:
        for topic, key, value, headers in population.request(number):
            while True:
                try:
                    producer.produce(topic, value, key, headers=headers)
                except BufferError:
                    producer.poll(0.2)
                else:
                    break
            written += 1
        if number % 500 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the broker has not acknowledged all events")
    return written
