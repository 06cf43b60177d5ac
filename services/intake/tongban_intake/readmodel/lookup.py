"""What the store knows of a submission: whether it came before, and what else is in progress."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from tongban_common.store import StoreUnavailable
from tongban_intake.http.telemetry import kind_and_place
from tongban_intake.readmodel.projection import CLOSED
from tongban_intake.readmodel.reader import REST_AFTER_FAILURE, Fields, ReadModel
from tongban_intake.submission.recent import Lately

log = structlog.get_logger(__name__)

_MOST_AT_ONCE = 200
_APART = 0.02


@dataclass(frozen=True, slots=True)
class Question:
    """Of one submission. `applying` is as `projection.applying_key` makes it, None where the body
    does not say who applies for what; `lately` is what this replica accepted last for the same."""

    request_id: str
    applying: str | None = None
    lately: Lately | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the store said. `digest` and `notes` are of the body that was accepted under this id,
    None and empty where none was or it is not known; `other` is another request in progress of the
    same applicant for the same item."""

    digest: str | None = None
    notes: tuple[Fields, ...] = ()
    other: Lately | None = None


NOTHING = Known()


class Lookup:
    """Answers `Acceptor`: one query at a time, for all who have come to ask meanwhile.

    A look-up costs the store and this process about the same for one submission as for a hundred,
    and almost every one needs it; so under load they begin `_APART` seconds after each other. It is
    two finds begun together, each on one index: the embedded store reads the whole collection for
    one with `$or`. A store that fails is left alone for a second, so that being down costs
    submissions nothing.
    """

    def __init__(self, read_model: ReadModel, *, seconds: float) -> None:
        self._read_model = read_model
        self._seconds = seconds
        self._waiting: list[tuple[Question, asyncio.Future[Known]]] = []
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0
        self._rest_until = 0.0

    async def ask(self, question: Question) -> Known:
        """What is known; `NOTHING` where the store does not say in time."""
        if time.monotonic() < self._rest_until:
            return NOTHING
        future: asyncio.Future[Known] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
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

    async def _answer(self, batch: list[tuple[Question, asyncio.Future[Known]]]) -> None:
        found = None
        try:
            if time.monotonic() >= self._rest_until:
                found = await self._find([question for question, _ in batch])
        except StoreUnavailable:
            log.warning("store_not_asked_for_submissions", seconds=REST_AFTER_FAILURE)
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
        except Exception as error:
            # Unforeseen: those who ask meanwhile must not wait for a task that has ended.
            log.error("store_could_not_be_asked", **kind_and_place(error))
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
        finally:
            # What is not known goes to the router.
            for question, future in batch:
                if not future.done():  # whoever asked may have gone
                    future.set_result(NOTHING if found is None else found.of(question))

    async def _find(self, questions: list[Question]) -> _Found:
        wanted = {question.request_id for question in questions}
        wanted |= {each.lately.request_id for each in questions if each.lately is not None}
        keys = {each.applying for each in questions if each.applying is not None}
        asked = [self._read_model.accepted(list(wanted), seconds=self._seconds)]
        if keys:
            asked.append(self._read_model.open_for(list(keys), seconds=self._seconds))
        accepted, *rest = await asyncio.gather(*asked)
        return _Found(accepted, rest[0] if rest else [])


class _Found:
    def __init__(self, accepted: list[Fields], in_progress: list[Fields]) -> None:
        self._accepted = {each["_id"]: each for each in accepted}
        self._in_progress: dict[str, list[Lately]] = {}
        for each in in_progress:
            other = Lately(each["_id"], each.get("origin", {}).get("branch_id", ""))
            self._in_progress.setdefault(each["applying"], []).append(other)

    def of(self, question: Question) -> Known:
        mine = self._accepted.get(question.request_id)
        if mine is not None:
            return Known(mine["body_digest"], tuple(mine.get("notes", ())))
        return Known(other=self._other(question)) if question.applying is not None else NOTHING

    def _other(self, question: Question) -> Lately | None:
        lately = question.lately
        if lately is not None and lately.request_id != question.request_id:
            projected = self._accepted.get(lately.request_id)
            if projected is None or projected.get("applying") != CLOSED:
                return lately
        others = self._in_progress.get(question.applying or "", ())
        return next((each for each in others if each.request_id != question.request_id), None)
