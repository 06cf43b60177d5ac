"""Build the services of a running intake from its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tongban_common.catalogue import find_directory
from tongban_common.catalogue.holidays import Holidays, load_holidays
from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_common.store import DocumentStore, Store
from tongban_intake.access.applicant_proof import ApplicantProof
from tongban_intake.access.auth import Authenticator
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.replay_guard import AssertionReplayGuard
from tongban_intake.access.signin import SignIn
from tongban_intake.access.token_endpoint import TRADES_AT_ONCE, TRADES_PER_S, TokenEndpoint
from tongban_intake.applicants import SealedApplicants
from tongban_intake.branches import Branches, load_branches
from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.commands.copies import CopyNumbers
from tongban_intake.commands.service import CommandService
from tongban_intake.http.limits import AnonymousRates, KioskRates, KioskSlots, Slots
from tongban_intake.live.help_calls import HelpCalls
from tongban_intake.live.hub import Hub
from tongban_intake.live.printers import PrinterStates
from tongban_intake.live.provinces import ProvinceStates
from tongban_intake.live.stream import EventStreams
from tongban_intake.readmodel.reader import ReadModel
from tongban_intake.services import Services
from tongban_intake.settings import IntakeSettings
from tongban_intake.submission.accept import Acceptor
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.repeats import Lookup, Recent
from tongban_kafka import EventProducer

log = structlog.get_logger(__name__)
SOURCE = "tongban/intake"


@dataclass(frozen=True, slots=True)
class _Shared:
    """Holds the dependencies that several services share."""

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
    """Return the services that the endpoints call.

    Args:
        port: on which this process serves HTTP.
        complete: returns True if the read model knows every request (`Completeness`).
    """
    catalogue_index, hub = CatalogueIndex(), Hub()
    shared = _Shared(
        settings,
        keys,
        EventPublisher(producer, SOURCE),
        ReadModel(store, seconds=settings.store_ms / 1000),
        Checker(catalogue_index),
        Recent(settings.recent_requests),
        Enrolled(settings.cluster, on_void=hub.close_kiosk),
    )
    replay_guard = AssertionReplayGuard(producer)
    holidays = _holidays(settings)
    return Services(
        settings=settings,
        clock=settings.clock,
        enrolled=shared.enrolled,
        auth=Authenticator(settings.token_secrets, shared.enrolled),
        replay_guard=replay_guard,
        token_endpoint=_token_endpoint(shared, replay_guard, port),
        sign_in=_sign_in(shared),
        applicant_proof=ApplicantProof(shared.read_model, keys),
        rates=KioskRates(settings.kiosk_rate, settings.kiosk_burst),
        reads=KioskRates(settings.read_rate, settings.read_burst),
        token_rates=KioskRates(settings.token_rate, settings.token_burst),
        anonymous_rates=_anonymous_rates(settings),
        catalogue_index=catalogue_index,
        checker=shared.checker,
        recent=shared.recent,
        acceptor=_acceptor(shared, holidays, complete),
        read_model=shared.read_model,
        document_store=DocumentStore(store, keys),
        keys=keys,
        commands=_command_service(shared, store, catalogue_index),
        hub=hub,
        streams=_streams(shared, hub),
        printers=PrinterStates(),
        provinces=ProvinceStates(),
        help_calls=HelpCalls(settings.cluster, producer, settings.clock),
        branches=_branches(settings),
        holidays=holidays,
    )


def _token_endpoint(
    shared: _Shared, replay_guard: AssertionReplayGuard, port: int
) -> TokenEndpoint:
    settings = shared.settings
    return TokenEndpoint(
        shared.enrolled,
        secret=settings.token_secret.get_secret_value(),
        audiences=settings.token_audiences(port),
        lifetime_s=settings.token_seconds,
        rates=KioskRates(TRADES_PER_S, TRADES_AT_ONCE),
        replay_guard=replay_guard,
    )


def _sign_in(shared: _Shared) -> SignIn:
    settings = shared.settings
    return SignIn(
        shared.enrolled,
        secret=settings.token_secret.get_secret_value(),
        pin_key=settings.pin_key,
        lifetime_s=settings.assistant_seconds,
        at_once=settings.assistant_threads,
    )


def _anonymous_rates(settings: IntakeSettings) -> AnonymousRates:
    return AnonymousRates(
        settings.stranger_rate,
        settings.stranger_burst,
        all_rate=settings.strangers_rate,
        all_burst=settings.strangers_burst,
    )


def _acceptor(shared: _Shared, holidays: Holidays, complete: Callable[[], bool]) -> Acceptor:
    settings = shared.settings
    pseudonym_secret = settings.pseudonym_secret.get_secret_value()
    return Acceptor(
        id_secret=settings.id_secret.get_secret_value(),
        checker=shared.checker,
        recent=shared.recent,
        lookup=Lookup(
            shared.read_model,
            seconds=settings.digest_ms / 1000,
            applicant_of=SealedApplicants(shared.keys, pseudonym_secret).digest,
            complete=complete,
        ),
        holidays=holidays,
        keys=shared.keys,
        publisher=shared.publisher,
        clock=settings.clock,
        slots=Slots(settings.max_accepting),
        kiosk_slots=KioskSlots(settings.kiosk_accepting),
        pseudonym_secret=pseudonym_secret,
        sign_in=settings.assisted_sign_in,
    )


def _command_service(
    shared: _Shared, store: Store, catalogue_index: CatalogueIndex
) -> CommandService:
    settings = shared.settings
    return CommandService(
        id_secret=settings.id_secret.get_secret_value(),
        read_model=shared.read_model,
        copies=CopyNumbers(store),
        catalogue_index=catalogue_index,
        checker=shared.checker,
        keys=shared.keys,
        publisher=shared.publisher,
        clock=settings.clock,
    )


def _streams(shared: _Shared, hub: Hub) -> EventStreams:
    settings = shared.settings
    return EventStreams(
        hub,
        shared.read_model,
        keys=shared.keys,
        slots=Slots(settings.max_streams),
        kiosk_slots=KioskSlots(settings.kiosk_streams),
        heartbeat=settings.stream_heartbeat,
        grace=settings.stream_grace,
    )


def _holidays(settings: IntakeSettings) -> Holidays:
    """Load the holidays from the catalogue directory. Items come over a topic and holidays do not:
    a replica without the directory knows weekends only."""
    try:
        return load_holidays(settings.catalogue)
    except FileNotFoundError:
        if settings.catalogue is not None:
            raise
        log.warning("no_holidays", why="no catalogue directory: only weekends count as holidays")
        return Holidays()


def _branches(settings: IntakeSettings) -> Branches:
    """Load the branches from the catalogue directory. Without it, or without the file, pages name
    no other branch."""
    try:
        return load_branches(find_directory(settings.catalogue))
    except FileNotFoundError:  # `_holidays` has raised it for a directory that is configured
        return Branches()
