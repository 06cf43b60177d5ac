"""What this replica accepted, or is accepting, lately: the first place where a repeat shows."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tongban_common.events.models import SubmissionNote


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that Kafka has. `item_code` is None where only the digest was learnt."""

    digest: str
    item_code: str | None = None
    submitted_at: str | None = None
    notes: tuple[SubmissionNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Lately:
    """A request, and where it was handed in."""

    request_id: str
    branch_id: str


class LatelyAccepted:
    """What each applicant handed in last for each item, for as long as the read model may not know
    of it: the status that tells it comes back through the router."""

    def __init__(
        self,
        *,
        seconds: float = 30.0,
        size: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._last: OrderedDict[str, tuple[float, Lately]] = OrderedDict()

    def put(self, applying: str, request: Lately) -> None:
        """Kafka has this request; `applying` is of the item and of the applicant's digest
        (`submission.applicants`)."""
        now = self._monotonic()
        self._last.pop(applying, None)
        self._last[applying] = now, request
        while self._last:
            accepted_at, _ = next(iter(self._last.values()))
            if len(self._last) <= self._size and accepted_at + self._seconds > now:
                break
            self._last.popitem(last=False)

    def get(self, applying: str) -> Lately | None:
        """The newest, None where none is that new."""
        accepted_at, request = self._last.get(applying, (float("-inf"), None))
        return request if accepted_at + self._seconds > self._monotonic() else None


class Recent:
    """A bounded memory, least recently used out first. Requests that are just being accepted are
    held beside it; their number is bounded by whoever accepts."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Seen | None]] = {}

    def get(self, request_id: str) -> Seen | None:
        """What is known of a request."""
        seen = self._seen.get(request_id)
        if seen is not None:
            self._seen.move_to_end(request_id)
        return seen

    def put(self, request_id: str, seen: Seen) -> None:
        """Remember a request. The first body under an id stays."""
        if self._seen.setdefault(request_id, seen) is seen and len(self._seen) > self._size:
            self._seen.popitem(last=False)

    def under_way(self, request_id: str) -> asyncio.Future[Seen | None] | None:
        """Resolves when the call that is accepting this request has ended; None if there is none.
        Its result is None where it is not known whether Kafka has the request."""
        return self._under_way.get(request_id)

    def begin(self, request_id: str) -> None:
        """This call is accepting the request; the caller has just found that no other one is."""
        if request_id in self._under_way:
            raise RuntimeError("two calls are accepting one request")
        self._under_way[request_id] = asyncio.get_running_loop().create_future()

    def end(self, request_id: str, seen: Seen | None) -> None:
        """Kafka has it (`seen`), or it is not known whether it has (None)."""
        if seen is not None:
            self.put(request_id, seen)
        self._under_way.pop(request_id).set_result(seen)
