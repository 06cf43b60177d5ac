"""Ask for proof of being a request's applicant, before the page of the request is shown."""

from __future__ import annotations

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_intake.access.applicant_proof import TAIL
from tongban_intake.access.tokens import Kiosk
from tongban_intake.kiosk.fields import Posted
from tongban_intake.kiosk.rendering import PageGroup
from tongban_intake.kiosk.session import new_key
from tongban_intake.problems import Kind, ProblemError

log = structlog.get_logger(__name__)

_TOLD_ON_THE_PAGE = (Kind.FORBIDDEN, Kind.TOO_MANY, Kind.UNAVAILABLE)


class ProvingPage(PageGroup):
    """Asks for the ends of document number and phone; correct ones open the request for this
    visit."""

    def page(
        self, kiosk: Kiosk, request_id: str, *, problem: ProblemError | None = None
    ) -> Response:
        """Return the page, with status 403, or after a failed try with the problem and its
        status."""
        return self.form_page(
            "prove.html",
            kiosk,
            new_key(),
            code=403,
            problem=problem,
            request_id=request_id,
            tail=TAIL,
        )

    async def prove(
        self, request: Request, kiosk: Kiosk, request_id: str, posted: Posted
    ) -> Response:
        """Redirect to the request, or return the page again if the proof was refused.

        Raises:
            ProblemError: one that typing again cannot solve.
            StoreUnavailableError: the store does not answer.
        """
        number, phone = (posted.get(name, [""])[0][:32] for name in ("number_end", "phone_end"))
        try:
            await self._services.applicant_proof.check(
                kiosk, request_id, number=number, phone=phone
            )
        except ProblemError as problem:
            if problem.kind not in _TOLD_ON_THE_PAGE:
                raise
            log.warning("applicant_not_proved", kiosk_id=kiosk.kiosk_id, why=problem.kind.slug)
            return self.page(kiosk, request_id, problem=problem)
        self._session.let_see(request, kiosk, request_id)
        return RedirectResponse(f"/kiosk/requests/{request_id}", status_code=303)
