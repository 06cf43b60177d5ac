"""Remember the requests that this replica is accepting or has just accepted, to spot repeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tongban_common.events.models import SubmissionNote
from tongban_intake.lru_cache import LruCache


@dataclass(frozen=True, slots=True)
class Seen:
    """Describes a request that Kafka has. `item_code` is None where only its digest was read from
    the store.

    `notes` are what the applicant was shown; in no other place do they name another request.
    """

    digest: str
    item_code: str | None = None
    submitted_at: str | None = None
    notes: tuple[SubmissionNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Lately:
    """Names a request and the branch where it was submitted."""

    request_id: str
    branch_id: str


class LatelyAccepted:
    """Remembers the newest request of each applicant for each item, for as long as the read model
    may not know it: its first status reaches the read model through the router."""

    def __init__(
        self,
        *,
        seconds: float = 30.0,
        size: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._newest: LruCache[str, Lately] = LruCache(size, seconds=seconds, monotonic=monotonic)

    def put(self, applying: str, request: Lately) -> None:
        """Remember a request that Kafka has acknowledged; `applying` is made of the item and the
        digest of the applicant (`tongban_intake.applicants`)."""
        self._newest.put(applying, request)

    def get(self, applying: str) -> Lately | None:
        """Return the newest request; None where none was accepted within `seconds`."""
        return self._newest.get(applying)


class Recent:
    """Remembers the `size` requests that were used last, and those that are being accepted now.

    The number of the latter is not bounded here: the caller bounds it (`http.limits.Slots`).
    """

    def __init__(self, size: int) -> None:
        self._seen: LruCache[str, Seen] = LruCache(size)
        self._under_way: dict[str, asyncio.Future[Seen | None]] = {}

    def get(self, request_id: str) -> Seen | None:
        """Return what is known of a request; None where it is not remembered."""
        return self._seen.get(request_id)

    def put(self, request_id: str, seen: Seen) -> None:
        """Remember a request, unless another body is remembered under its id: the first counts."""
        if self._seen.get(request_id) is None:
            self._seen.put(request_id, seen)

    def under_way(self, request_id: str) -> asyncio.Future[Seen | None] | None:
        """Return a future that resolves when the call that is accepting this request has ended;
        None if there is none. Its result is None where it is not known whether Kafka has the
        request."""
        return self._under_way.get(request_id)

    def begin(self, request_id: str) -> None:
        """Note that the caller is accepting the request, after `under_way` returned None.

        Raises:
            RuntimeError: another call is accepting it.
        """
        if request_id in self._under_way:
            raise RuntimeError("two calls are accepting one request")
        self._under_way[request_id] = asyncio.get_running_loop().create_future()

    def end(self, request_id: str, seen: Seen | None) -> None:
        """Note that Kafka has the request (`seen`), or that this is not known (None)."""
        if seen is not None:
            self.put(request_id, seen)
        self._under_way.pop(request_id).set_result(seen)
