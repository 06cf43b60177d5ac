"""Authenticate a request by the kiosk's bearer token (RFC 6750), from the header or its cookie."""

from __future__ import annotations

from starlette.requests import Request

from tongban_intake.access import tokens
from tongban_intake.access.enrolled import Enrolled
from tongban_intake.access.tokens import InvalidTokenError, Kiosk, Secrets
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text

COOKIE = "tongban_kiosk"


class Authenticator:
    """Verifies tokens against the secrets and the current registers of kiosks and assistants."""

    def __init__(self, secrets: Secrets, enrolled: Enrolled) -> None:
        self._secrets = secrets
        self._enrolled = enrolled

    def bearer(self, request: Request) -> Kiosk:
        """Return the kiosk of the `Authorization` header.

        Raises:
            ProblemError: 401, no token, or one that is invalid, expired or revoked; 503 as
                `Enrolled.kiosk`.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ProblemError(
                Kind.UNAUTHENTICATED,
                Text("缺少终端令牌", "Send Authorization: Bearer with the kiosk's token"),
            )
        return self.token(token.strip())

    def token(self, token: str) -> Kiosk:
        """Return the kiosk of a token.

        Raises:
            ProblemError: 401, the token is invalid, expired or revoked; 503 as `Enrolled.kiosk`.
        """
        try:
            return self._enrolled.must_be_valid(tokens.verify(self._secrets, token))
        except InvalidTokenError:
            raise ProblemError(
                Kind.UNAUTHENTICATED,
                Text("终端令牌无效或已过期", "The token is not one of ours, or is out of date"),
                headers={"WWW-Authenticate": 'Bearer realm="tongban", error="invalid_token"'},
            ) from None

    def cookie(self, request: Request) -> Kiosk | None:
        """Return the kiosk that this browser has logged in; None where there is none.

        Raises:
            ProblemError: 503 as `Enrolled.kiosk`.
        """
        token = request.cookies.get(COOKIE)
        if not token:
            return None
        try:
            kiosk = tokens.verify(self._secrets, token)
        except InvalidTokenError:
            return None
        return kiosk if self._enrolled.is_valid(kiosk) else None
