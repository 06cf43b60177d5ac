"""Hold the services that the endpoints call, built once for each process."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from tongban_common.catalogue.holidays import Holidays
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import Issued, issued
from tongban_common.envelope import KeyRing
from tongban_common.store import DocumentStore
from tongban_intake.access.applicant_proof import ApplicantProof
from tongban_intake.access.auth import Authenticator
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.replay_guard import AssertionReplayGuard
from tongban_intake.access.signin import SignIn
from tongban_intake.access.token_endpoint import TokenEndpoint
from tongban_intake.access.tokens import Kiosk
from tongban_intake.branches import Branches
from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.commands.service import CommandService
from tongban_intake.http.limits import AnonymousRates, KioskRates
from tongban_intake.live.help_calls import HelpCalls
from tongban_intake.live.hub import Hub
from tongban_intake.live.printers import PrinterStates
from tongban_intake.live.provinces import ProvinceStates
from tongban_intake.live.stream import EventStreams
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.readmodel.reader import ReadModel
from tongban_intake.settings import IntakeSettings
from tongban_intake.submission.accept import Acceptor
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.repeats import Recent
from tongban_intake.text import Text


@dataclass(frozen=True, slots=True)
class Services:
    """Holds the services of one running intake."""

    settings: IntakeSettings
    clock: BusinessClock
    enrolled: Enrolled
    auth: Authenticator
    replay_guard: AssertionReplayGuard
    token_endpoint: TokenEndpoint
    sign_in: SignIn
    applicant_proof: ApplicantProof
    rates: KioskRates
    reads: KioskRates
    token_rates: KioskRates
    anonymous_rates: AnonymousRates
    catalogue_index: CatalogueIndex
    checker: Checker
    recent: Recent
    acceptor: Acceptor
    read_model: ReadModel
    document_store: DocumentStore
    keys: KeyRing
    commands: CommandService
    hub: Hub
    streams: EventStreams
    printers: PrinterStates
    provinces: ProvinceStates
    help_calls: HelpCalls
    branches: Branches
    holidays: Holidays

    def reader(self, request: Request) -> Kiosk:
        """Return the kiosk whose bearer token a GET carries.

        Raises:
            ProblemError: 401, as `Authenticator.bearer`; 429, the kiosk sends too many GETs.
        """
        kiosk = self.auth.bearer(request)
        self.reads.take(kiosk.kiosk_id)
        return kiosk

    def must_be_own(self, kiosk: Kiosk, request_id: str) -> None:
        """Return if the request was submitted at this kiosk's branch.

        Raises:
            ProblemError: 404, intake never issued the id; 403, another branch submitted it.
        """
        secret = self.settings.id_secret.get_secret_value()
        match issued(secret, request_id, branch_id=kiosk.branch_id):
            case Issued.NEVER:
                raise ProblemError(
                    Kind.NOT_FOUND, Text("没有这个办件", "No request was issued under this id")
                )
            case Issued.ELSEWHERE:
                raise ProblemError(
                    Kind.FORBIDDEN,
                    Text("只能在提交办件的网点查看", "This request belongs to another branch"),
                )
            case Issued.HERE:
                pass


def services_of(request: Request) -> Services:
    """Return the services that `build_app` has attached to the application."""
    services: Services = request.app.state.services
    return services
