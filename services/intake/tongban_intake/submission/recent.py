"""What this replica accepted, or is accepting, lately: the first place where a repeat shows."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that Kafka has. `item_code` is None where only the digest was learnt."""

    digest: str
    item_code: str | None = None
    submitted_at: str | None = None


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
