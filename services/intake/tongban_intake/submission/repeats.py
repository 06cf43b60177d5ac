"""Recognise repeats and duplicates of a submission: in this replica's memory, in the read model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tongban_common.events.models import SubmissionNote
from tongban_common.store import StoreUnavailableError
from tongban_intake.http.telemetry import kind_and_place
from tongban_intake.lru_cache import LruCache
from tongban_intake.readmodel.projection import CLOSED
from tongban_intake.readmodel.reader import REST_AFTER_FAILURE, Fields, ReadModel


@dataclass(frozen=True, slots=True)
class Seen:
    """Describes a request that Kafka has. `item_code` is None where only its digest was read from
    the store.

    `notes` are the notes that the applicant was shown. Only this copy, in memory, may name another
    request.
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


log = structlog.get_logger(__name__)

_MOST_AT_ONCE = 200
_APART = 0.02


@dataclass(frozen=True, slots=True)
class LookupQuery:
    """Holds the keys by which one submission is looked up.

    `applying` is made by `projection.applying_key` and `applicant` by `applicants.digest`; they are
    None where the body lacks the fields for them. `lately` is the newest request of the same
    applicant for the same item that this replica has accepted.
    """

    request_id: str
    applying: str | None = None
    applicant: str | None = None
    lately: Lately | None = None


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """Holds the result of a look-up.

    `digest` and `notes` are those of the request that was accepted under this id, if any. `other`
    is another request in progress of the same applicant for the same item.

    `answered` is False where the store did not answer or the read model is not complete: then a
    missing `digest` proves nothing, and the submission may be a repeat.
    """

    answered: bool = True
    digest: str | None = None
    notes: tuple[Fields, ...] = ()
    other: Lately | None = None


NOTHING_KNOWN = KnownRequest()
NO_ANSWER = KnownRequest(answered=False)


class Lookup:
    """Looks up submissions in batches, one batch at a time.

    A batch costs the store and this process about the same for one submission as for a hundred, and
    almost every submission needs a look-up; so under load batches start `_APART` seconds after each
    other.
    A batch is two concurrent finds, each on one index: for a single find with `$or` the embedded
    store would read the whole collection. After a failure the store is not queried for a second, so
    that an outage does not delay submissions.

    Args:
        seconds: how long one find may take.
        applicant_of: returns the digest of a document's applicant (`SealedApplicants.digest`).
        complete: returns True if the read model has every accepted request (`Completeness`).
    """

    def __init__(
        self,
        read_model: ReadModel,
        *,
        seconds: float,
        applicant_of: Callable[[Fields], str | None],
        complete: Callable[[], bool],
    ) -> None:
        self._read_model = read_model
        self._seconds = seconds
        self._applicant_of = applicant_of
        self._complete = complete
        self._waiting: list[tuple[LookupQuery, asyncio.Future[KnownRequest]]] = []
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0
        self._rest_until = 0.0

    async def find(self, query: LookupQuery) -> KnownRequest:
        """Return the result for one submission; `NO_ANSWER` where the store does not answer in
        time."""
        if time.monotonic() < self._rest_until:
            return NO_ANSWER
        future: asyncio.Future[KnownRequest] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                loop = asyncio.get_running_loop()
                if (early := self._last + _APART - loop.time()) > 0:
                    await asyncio.sleep(early)
                self._last = loop.time()
                batch = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: list[tuple[LookupQuery, asyncio.Future[KnownRequest]]]) -> None:
        found = None
        try:
            if time.monotonic() >= self._rest_until:
                found = await self._find([query for query, _ in batch])
        except StoreUnavailableError:
            log.warning("submission_lookup_suspended", seconds=REST_AFTER_FAILURE)
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
        except Exception as error:
            # Unforeseen: log it, rather than end the task that other callers wait for.
            log.error("submission_lookup_failed", **kind_and_place(error))
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
        finally:
            for query, future in batch:
                if not future.done():  # the caller may have been cancelled
                    future.set_result(NO_ANSWER if found is None else found.of(query))

    async def _find(self, queries: list[LookupQuery]) -> _Found:
        wanted = {query.request_id for query in queries}
        wanted |= {each.lately.request_id for each in queries if each.lately is not None}
        keys = {q.applying for q in queries if q.applying is not None and q.applicant is not None}
        finds = [self._read_model.accepted(list(wanted), seconds=self._seconds)]
        if keys:
            finds.append(self._read_model.open_for(list(keys), seconds=self._seconds))
        # Read it before the finds: a read model that becomes complete while they run proves
        # nothing.
        complete = self._complete()
        accepted, *rest = await asyncio.gather(*finds)
        return _Found(accepted, rest[0] if rest else [], self._applicant_of, complete=complete)


class _Found:
    def __init__(
        self,
        accepted: list[Fields],
        in_progress: list[Fields],
        applicant_of: Callable[[Fields], str | None],
        *,
        complete: bool,
    ) -> None:
        self._accepted = {each["_id"]: each for each in accepted}
        self._applicant_of = applicant_of
        self._opened: dict[str, str | None] = {}
        self._complete = complete
        self._in_progress: dict[str, list[Fields]] = {}
        for each in in_progress:
            self._in_progress.setdefault(each["applying"], []).append(each)

    def of(self, query: LookupQuery) -> KnownRequest:
        mine = self._accepted.get(query.request_id)
        if mine is not None:
            return KnownRequest(digest=mine["body_digest"], notes=tuple(mine.get("notes", ())))
        return KnownRequest(answered=self._complete, other=self._other(query))

    def _other(self, query: LookupQuery) -> Lately | None:
        lately = query.lately
        if lately is not None and lately.request_id != query.request_id:
            projected = self._accepted.get(lately.request_id)
            if projected is None or projected.get("applying") != CLOSED:
                return lately
        if query.applicant is None:
            return None
        for each in self._in_progress.get(query.applying or "", ()):
            # `applying` has the document number alone, which many people know: compare the digest
            # of number, name and phone.
            if each["_id"] != query.request_id and self._same(each, query.applicant):
                return Lately(each["_id"], each.get("origin", {}).get("branch_id", ""))
        return None

    def _same(self, document: Fields, applicant: str) -> bool:
        """Return True if the document is of this applicant; its envelope is opened only once."""
        if document["_id"] not in self._opened:
            self._opened[document["_id"]] = self._applicant_of(document)
        return self._opened[document["_id"]] == applicant
