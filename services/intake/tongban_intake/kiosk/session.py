"""Who the page belongs to, and proof that a form came from one of our pages."""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from tongban_common.tokens import Kiosk
from tongban_intake.http.auth import COOKIE
from tongban_intake.http.body import read_bytes
from tongban_intake.problems import Kind, Problem
from tongban_intake.services import Services
from tongban_intake.text import Text

_MOST_FIELDS = 300


def new_key() -> str:
    """An Idempotency-Key for one form: sending it twice is one request."""
    return uuid.uuid4().hex


class Session:
    """Cookies and form proofs, for all pages.

    The cookie is SameSite=Strict; beside it every form carries a keyed digest of kiosk and key that
    another site cannot make (cross-site request forgery).
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._secret = services.settings.token_secret.get_secret_value().encode()

    def kiosk(self, request: Request) -> Kiosk:
        """The kiosk that has logged in.

        Raises:
            Problem: 401, none has.
        """
        kiosk = self._services.auth.cookie(request)
        if kiosk is None:
            raise Problem(
                Kind.UNAUTHENTICATED, Text("终端登录已过期，请联系大堂经理", "Log the kiosk in")
            )
        return kiosk

    def log_in(self, response: Response, token: str, kiosk: Kiosk, *, secure: bool) -> None:
        """Have the browser keep the token, out of reach of scripts."""
        response.set_cookie(
            COOKIE,
            token,
            max_age=max(0, kiosk.expires - int(time.time())),
            path="/kiosk",
            httponly=True,
            samesite="strict",
            secure=secure,
        )

    def proof(self, kiosk: Kiosk, key: str) -> str:
        """What a form carries beside its key."""
        message = f"form\x1f{kiosk.kiosk_id}\x1f{key}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    async def posted(self, request: Request, kiosk: Kiosk) -> dict[str, list[str]]:
        """The fields of a form of ours.

        Raises:
            Problem: 403, the form is not from one of our pages; 413, 408, 429.
        """
        settings = self._services.settings
        self._services.rates.take(kiosk.kiosk_id)
        raw = await read_bytes(request, limit=settings.body_limit, seconds=settings.body_seconds)
        try:
            posted = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Problem(Kind.MALFORMED) from None
        key, proof = posted.get("key", [""])[0], posted.get("proof", [""])[0]
        if not hmac.compare_digest(proof.encode(), self.proof(kiosk, key).encode()):
            raise Problem(Kind.FORBIDDEN, Text("页面已失效，请返回首页重新办理", "Start again"))
        return posted
