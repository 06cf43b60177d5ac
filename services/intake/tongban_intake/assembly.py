"""Builds the parts of a running intake from its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tongban_common.catalogue.holidays import Holidays, load_holidays
from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import EventProducer
from tongban_common.store import DocumentStore, Store
from tongban_intake.access.applicant_proof import ApplicantProof
from tongban_intake.access.claims import Claims
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.grants import TRADES_AT_ONCE, TRADES_PER_S, Grants
from tongban_intake.access.signin import SignIn
from tongban_intake.followups.commands import Followups
from tongban_intake.followups.copies import CopyNumbers
from tongban_intake.http.auth import Authenticator
from tongban_intake.http.limits import KioskRates, KioskSlots, Slots, Strangers
from tongban_intake.live.hub import Hub
from tongban_intake.live.stream import EventStreams
from tongban_intake.offers import Offers
from tongban_intake.readmodel.lookup import Lookup
from tongban_intake.readmodel.reader import ReadModel
from tongban_intake.services import Services
from tongban_intake.settings import IntakeSettings
from tongban_intake.submission.accept import Acceptor
from tongban_intake.submission.applicants import SealedApplicants
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.recent import Recent

log = structlog.get_logger(__name__)
SOURCE = "tongban/intake"


@dataclass(frozen=True, slots=True)
class _Shared:
    """Holds what several parts are made from."""

    settings: IntakeSettings
    keys: KeyRing
    publisher: EventPublisher
    read_model: ReadModel
    checker: Checker
    recent: Recent
    enrolled: Enrolled


def make_services(
    settings: IntakeSettings,
    producer: EventProducer,
    store: Store,
    *,
    keys: KeyRing,
    port: int,
    complete: Callable[[], bool],
) -> Services:
    """Return the parts that endpoints work with.

    Args:
        port: where they are served.
        complete: tells whether the read model knows every request (`Completeness`).
    """
    offers, watchers = Offers(), Hub()
    shared = _Shared(
        settings,
        keys,
        EventPublisher(producer, SOURCE),
        ReadModel(store, seconds=settings.store_ms / 1000),
        Checker(offers),
        Recent(settings.recent_requests),
        Enrolled(settings.cluster, on_void=watchers.close_kiosk),
    )
    claims = Claims(producer)
    return Services(
        settings=settings,
        clock=settings.clock,
        enrolled=shared.enrolled,
        auth=Authenticator(settings.token_secret.get_secret_value(), shared.enrolled),
        claims=claims,
        grants=_grants(shared, claims, port),
        sign_in=_sign_in(shared),
        applicant_proof=ApplicantProof(shared.read_model, keys),
        rates=KioskRates(settings.kiosk_rate, settings.kiosk_burst),
        reads=KioskRates(settings.read_rate, settings.read_burst),
        traders=KioskRates(settings.token_rate, settings.token_burst),
        strangers=_strangers(settings),
        offers=offers,
        checker=shared.checker,
        recent=shared.recent,
        acceptor=_acceptor(shared, complete),
        read_model=shared.read_model,
        document_store=DocumentStore(store, keys),
        keys=keys,
        followups=_followups(shared, store, offers),
        hub=watchers,
        streams=_streams(shared, watchers),
    )


def _grants(shared: _Shared, claims: Claims, port: int) -> Grants:
    settings = shared.settings
    return Grants(
        shared.enrolled,
        secret=settings.token_secret.get_secret_value(),
        audiences=settings.token_audiences(port),
        lifetime_s=settings.token_seconds,
        rates=KioskRates(TRADES_PER_S, TRADES_AT_ONCE),
        claims=claims,
    )


def _sign_in(shared: _Shared) -> SignIn:
    settings = shared.settings
    return SignIn(
        shared.enrolled,
        secret=settings.token_secret.get_secret_value(),
        lifetime_s=settings.assistant_seconds,
        at_once=settings.assistant_threads,
    )


def _strangers(settings: IntakeSettings) -> Strangers:
    return Strangers(
        settings.stranger_rate,
        settings.stranger_burst,
        all_rate=settings.strangers_rate,
        all_burst=settings.strangers_burst,
    )


def _acceptor(shared: _Shared, complete: Callable[[], bool]) -> Acceptor:
    settings = shared.settings
    pseudonym_secret = settings.pseudonym_secret.get_secret_value()
    return Acceptor(
        id_secret=settings.id_secret.get_secret_value(),
        checker=shared.checker,
        recent=shared.recent,
        store=Lookup(
            shared.read_model,
            seconds=settings.digest_ms / 1000,
            applicant_of=SealedApplicants(shared.keys, pseudonym_secret).digest,
            complete=complete,
        ),
        holidays=_holidays(settings),
        keys=shared.keys,
        publisher=shared.publisher,
        clock=settings.clock,
        slots=Slots(settings.max_accepting),
        kiosk_slots=KioskSlots(settings.kiosk_accepting),
        pseudonym_secret=pseudonym_secret,
        sign_in=settings.assisted_sign_in,
    )


def _followups(shared: _Shared, store: Store, offers: Offers) -> Followups:
    settings = shared.settings
    return Followups(
        id_secret=settings.id_secret.get_secret_value(),
        read_model=shared.read_model,
        copies=CopyNumbers(store),
        offers=offers,
        checker=shared.checker,
        keys=shared.keys,
        publisher=shared.publisher,
        clock=settings.clock,
    )


def _streams(shared: _Shared, watchers: Hub) -> EventStreams:
    settings = shared.settings
    return EventStreams(
        watchers,
        shared.read_model,
        keys=shared.keys,
        slots=Slots(settings.max_streams),
        kiosk_slots=KioskSlots(settings.kiosk_streams),
        heartbeat=settings.stream_heartbeat,
        grace=settings.stream_grace,
    )


def _holidays(settings: IntakeSettings) -> Holidays:
    """Return the holidays of the catalogue's directory. Items come over a topic and holidays do
    not: a replica without a directory knows of weekends alone."""
    try:
        return load_holidays(settings.catalogue)
    except FileNotFoundError:
        if settings.catalogue is not None:
            raise
        log.warning("no_holidays", why="no catalogue directory: weekends alone are told of")
        return Holidays()
