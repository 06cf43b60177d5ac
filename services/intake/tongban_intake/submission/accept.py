"""Accept submissions: recognise a repeat, else check the body and publish the request.

The caller answers 202 only after Kafka has acknowledged the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from tongban_common import faultpoints, topics
from tongban_common.catalogue import Item
from tongban_common.catalogue.holidays import Holidays
from tongban_common.clock import BusinessClock
from tongban_common.domain import identity, ids
from tongban_common.envelope import KeyRing
from tongban_common.events.models import (
    ApplicantFacts,
    ItemSnapshot,
    Origin,
    RequestSubmitted,
    SubmissionNote,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.observability import request_context
from tongban_intake import applicants
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.body import canonical
from tongban_intake.http.limits import KioskSlots, Slots
from tongban_intake.lru_cache import LruCache, PerItem
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.submission import notes
from tongban_intake.submission.checks import Checker, Company, Submission
from tongban_intake.submission.repeats import (
    NOTHING_KNOWN,
    KnownRequest,
    Lately,
    Lookup,
    LookupQuery,
    Recent,
    Seen,
)
from tongban_intake.text import Language, Text
from tongban_kafka import KafkaUnavailableError


class AcceptedSubmission(NamedTuple):
    """Names a request that Kafka has acknowledged, with the notes for its applicant."""

    request_id: str
    notes: tuple[SubmissionNote, ...] = ()


class Acceptor:
    """Accepts each (kiosk, idempotency key) once, and returns the same result for its repeats.

    Two replicas that accept one key at the same moment, or a replica without a store, may both
    publish the request: the router takes the first record and ignores the other.

    A submission is marked as a possible repeat where the read model did not answer or is not
    complete: its key may belong to a request that has ended and that the router has forgotten. The
    connector then queries the province before it sends; unmarked, the province would act twice.
    """

    def __init__(
        self,
        *,
        id_secret: str,
        checker: Checker,
        recent: Recent,
        lookup: Lookup,
        holidays: Holidays,
        keys: KeyRing,
        publisher: EventPublisher,
        clock: BusinessClock,
        slots: Slots,
        kiosk_slots: KioskSlots,
        pseudonym_secret: str,
        sign_in: bool,
    ) -> None:
        self._secret = id_secret
        self._pseudonym_secret = pseudonym_secret
        self._sign_in = sign_in
        self._checker = checker
        self._recent = recent
        self._lookup = lookup
        self._holidays = holidays
        # The newest request of each applicant for each item, for as long as the read model may not
        # know it: its first status reaches the read model through the router.
        self._lately: LruCache[str, Lately] = LruCache(10_000, seconds=30.0)
        self._snapshots = PerItem(snapshot)
        self._keys = keys
        self._publisher = publisher
        self._clock = clock
        self._slots = slots
        self._kiosk_slots = kiosk_slots
        self.accepted = 0

    @property
    def under_way(self) -> int:
        """Number of submissions that are being accepted now."""
        return self._slots.taken

    async def accept(self, kiosk: Kiosk, key: str, body: dict[str, Any]) -> AcceptedSubmission:
        """Return once Kafka has the request on all in-sync replicas.

        Raises:
            ProblemError: 400, 403, 404, 422; 503 where Kafka does not acknowledge in time, or too
                many submissions wait.
        """
        request_id = ids.request_id(
            self._secret, kiosk_id=kiosk.kiosk_id, branch_id=kiosk.branch_id, key=key
        )
        digest = ids.body_digest(self._secret, canonical(body))
        with request_context(request_id), self._kiosk_slots.hold(kiosk.kiosk_id), self._slots:
            applying = applicants.applying(self._pseudonym_secret, body)
            applicant = applicants.digest(self._pseudonym_secret, body.get("applicant"))
            same = None if applying is None or applicant is None else f"{applying}:{applicant}"
            lately = None if same is None else self._lately.get(same)
            query = LookupQuery(request_id, applying, applicant, lately)
            seen, known = await self._known(query, digest)
            if seen is not None:
                return AcceptedSubmission(request_id, seen.notes)
            now = self._clock.now()
            submission, item = self._checker.check(
                body, today=now.date(), signed_in=kiosk.assistant
            )
            _must_be_allowed(submission, kiosk, sign_in=self._sign_in)
            submission_notes = tuple(self._notes(item, now, known.other, kiosk))
            event = self._event(
                request_id=request_id,
                digest=digest,
                kiosk=kiosk,
                submission=submission,
                item=item,
                now=now,
                submission_notes=submission_notes,
            )
            await self._publish(event, now, submission_notes, repeat=not known.answered)
            if same is not None:
                self._lately.put(same, Lately(request_id, kiosk.branch_id))
        return AcceptedSubmission(request_id, submission_notes)

    async def _known(self, query: LookupQuery, digest: str) -> tuple[Seen | None, KnownRequest]:
        """Return what was accepted under this id (None: nothing), and the answer of the look-up.

        Raises:
            ProblemError: 422, the key was used with another body; 503 as `_settled`.
        """
        request_id = query.request_id
        seen, known = await self._settled(request_id), NOTHING_KNOWN
        if seen is None:
            known = await self._lookup.find(query)
            if known.digest is not None:
                stored = tuple(SubmissionNote.model_validate(each) for each in known.notes)
                self._recent.put(request_id, Seen(known.digest, notes=stored))
            # Another call may have begun to accept the request during the look-up.
            seen = await self._settled(request_id)
        if seen is not None and seen.digest != digest:
            raise ProblemError(
                Kind.KEY_REUSED,
                Text(
                    "同一Idempotency-Key已提交过不同内容，请使用新的编号",
                    "This Idempotency-Key came with another body before; use a new one",
                ),
            )
        return seen, known

    async def _settled(self, request_id: str) -> Seen | None:
        """Wait until no other call is accepting this request; return what is remembered of it.

        Raises:
            ProblemError: 503, the other call does not know whether Kafka has the request.
        """
        under_way = self._recent.under_way(request_id)
        if under_way is None:
            return self._recent.get(request_id)
        seen = await asyncio.shield(under_way)
        if seen is None:
            # Publishing again here would let this caller wait twice as long: let the kiosk repeat.
            raise kafka_unavailable()
        return seen

    async def _publish(
        self,
        event: RequestSubmitted,
        now: datetime,
        submission_notes: tuple[SubmissionNote, ...],
        *,
        repeat: bool,
    ) -> None:
        request_id = event.request_id
        self._recent.begin(request_id)
        seen: Seen | None = None
        try:
            faultpoints.reached("intake.before_publish")
            await self._publisher.publish(
                topics.REQUESTS_SUBMITTED,
                event,
                event_id=ids.derived_id("submitted", request_id, event.body_digest),
                at=now,
                repeat=repeat,
            )
            faultpoints.reached("intake.after_publish")
            seen = Seen(
                event.body_digest,
                event.item.code,
                event.submitted_at.isoformat(),
                submission_notes,
            )
            self.accepted += 1
        except KafkaUnavailableError:
            raise kafka_unavailable() from None
        finally:
            self._recent.end(request_id, seen)

    def _event(
        self,
        *,
        request_id: str,
        digest: str,
        kiosk: Kiosk,
        submission: Submission,
        item: Item,
        now: datetime,
        submission_notes: tuple[SubmissionNote, ...],
    ) -> RequestSubmitted:
        applicant = submission.applicant.model_dump(exclude_none=True)
        assistant, proved = _assistant(submission, kiosk)
        return RequestSubmitted(
            request_id=request_id,
            item=self._snapshots.of(item),
            origin=Origin(
                kiosk_id=kiosk.kiosk_id,
                branch_id=kiosk.branch_id,
                channel=submission.channel,
                assistant=assistant,
                assistant_proved=proved,
            ),
            applicant=self._facts(submission, now),
            print=item.printable if submission.print is None else submission.print,
            submitted_at=now,
            deadline=now + item.limits.time_allowed,
            body_digest=digest,
            notes=[notes.published(each) for each in submission_notes] or None,
            sealed=self._keys.seal(request_id, {"applicant": applicant, "form": submission.form}),
        )

    def _notes(
        self, item: Item, now: datetime, other: Lately | None, kiosk: Kiosk
    ) -> list[SubmissionNote]:
        closed = notes.outside_hours(item, now, self._holidays)
        found = [] if closed is None else [closed]
        if other is not None:
            found.append(notes.duplicate(other, branch_id=kiosk.branch_id))
        return found

    def _facts(self, submission: Submission, now: datetime) -> ApplicantFacts:
        """Return the facts for analysts: pseudonym, region, and of a person with a resident ID the
        age band."""
        applicant, secret = submission.applicant, self._pseudonym_secret
        if isinstance(applicant, Company):
            return ApplicantFacts(
                type="company",
                pseudonym=ids.pseudonym(secret, kind="uscc", number=applicant.uscc),
                region=applicant.uscc[2:4],
            )
        resident = applicant.id_type == "resident_id"
        return ApplicantFacts(
            type="person",
            pseudonym=ids.pseudonym(secret, kind=applicant.id_type, number=applicant.id_number),
            region=applicant.id_number[:2] if resident else None,
            age_band=identity.age_band(applicant.id_number, now.date()) if resident else None,
        )


def _must_be_allowed(submission: Submission, kiosk: Kiosk, *, sign_in: bool) -> None:
    """Raise ProblemError 403 if assisting needs a lobby manager's sign-in and there is none."""
    if sign_in and submission.channel == "assisted" and kiosk.assistant is None:
        raise ProblemError(
            Kind.FORBIDDEN,
            Text("协助办理前，请大堂经理先登录", "A lobby manager has to sign in before assisting"),
        )


def _assistant(submission: Submission, kiosk: Kiosk) -> tuple[str | None, bool]:
    """Return the lobby manager for the record, and True if a sign-in proves it."""
    if submission.channel == "self_service":
        return None, False
    if kiosk.assistant is not None:
        return kiosk.assistant, True
    return submission.assistant, False


def snapshot(item: Item) -> ItemSnapshot:
    """Return the fields of an item that a request carries."""
    return ItemSnapshot(
        code=item.code,
        version=item.version,
        name=item.name,
        category=item.category,
        province=item.province,
        partner_province=item.partner,
        kind=item.kind.value,
        template=item.document.template if item.document else None,
        promised_days=item.limits.promised_working_days,
    )


def receipt(
    request_id: str,
    submission_notes: Sequence[SubmissionNote],
    language: Language,
    *,
    lobby_manager: bool = False,
) -> bytes:
    """Return the body of the 202. A repeat gets the same bytes, as far as the notes are known (ADR
    0014). `lobby_manager` is True if one has signed in at the kiosk (see `notes.words`)."""
    return orjson.dumps(
        {
            "request_id": request_id,
            "status": "submitted",
            "status_url": f"/v1/requests/{request_id}",
            "events_url": f"/v1/requests/{request_id}/events",
            "notes": notes.words(submission_notes, language, lobby_manager=lobby_manager),
        }
    )


def kafka_unavailable() -> ProblemError:
    """Return the 503 for an event that Kafka did not acknowledge in time, though it may have it."""
    return ProblemError(
        Kind.UNAVAILABLE,
        Text(
            "暂时无法受理，请稍后以同一编号重试",
            "Not accepted just now; try again with the same Idempotency-Key",
        ),
        retry_after=2,
    )
