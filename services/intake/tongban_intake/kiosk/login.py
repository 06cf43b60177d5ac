"""Log a kiosk's browser in with the kiosk's bearer token."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_intake.http.body import read_form
from tongban_intake.kiosk.rendering import PageGroup, Pages
from tongban_intake.kiosk.session import Session
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import Services
from tongban_intake.text import Text

_LONGEST = 16 * 1024
_OWN = ("same-origin", "none")
"""Values of Sec-Fetch-Site for requests of our own pages, or of no page (W3C Fetch Metadata)."""


class KioskLogin(PageGroup):
    """Accepts the token in a form: in a URL it would stay in the browser's history and in the logs
    of every proxy. The development environment accepts it in the URL as well.

    Forms of other sites are refused: an attacker's site could log the browser in as another kiosk,
    which would then submit the next person's request (login cross-site request forgery).
    """

    def __init__(self, services: Services, pages: Pages, session: Session) -> None:
        super().__init__(services, pages, session)
        configured = services.settings.login_origins.split(",")
        self._origins = {origin.strip().rstrip("/") for origin in configured if origin.strip()}

    def page(self, request: Request, token: str) -> Response:
        """Return the form; in the development environment log in with a token in the URL.

        Raises:
            ProblemError: 400, a token in the URL; 401, 403, 503 as `log_in`.
        """
        if not token:
            return self._pages.page("login.html", kiosk=None)
        if self._services.settings.environment != "development":
            raise ProblemError(
                Kind.MALFORMED,
                Text("终端令牌只能以表单提交", "Post the token in a form, not in the address"),
            )
        self._must_be_own(request)
        return self._log_in(request, token)

    async def log_in(self, request: Request) -> Response:
        """Log in with the token of the form.

        Raises:
            ProblemError: 401, an invalid token; 403, another site's form; 400, 408, 413, 429,
                503.
        """
        self._must_be_own(request)
        seconds = self._services.settings.body_seconds
        form = await read_form(request, limit=_LONGEST, seconds=seconds, max_fields=10)
        return self._log_in(request, form.get("token", [""])[0].strip())

    def _log_in(self, request: Request, token: str) -> Response:
        kiosk = self._services.auth.token(token)
        response = RedirectResponse("/kiosk", status_code=303)
        self._session.log_in(response, token, kiosk, secure=request.url.scheme == "https")
        return response

    def _must_be_own(self, request: Request) -> None:
        """Raise ProblemError 403 for a form of another site. Browsers send the origin of a form; a
        client that sends none, such as a kiosk's agent, is not a site."""
        origin = request.headers.get("origin")
        if origin in self._origins:
            return
        own_host = origin is None or urlsplit(origin).netloc == request.headers.get("host")
        if not own_host or request.headers.get("sec-fetch-site", "none") not in _OWN:
            raise ProblemError(
                Kind.FORBIDDEN, Text("请在本机登录终端", "Another site may not log a kiosk in")
            )
