"""Who asks: the kiosk's bearer token (RFC 6750), or the cookie that holds it on its pages."""

from __future__ import annotations

from starlette.requests import Request

from tongban_common import tokens
from tongban_common.tokens import InvalidToken, Kiosk
from tongban_intake.problems import Kind, Problem
from tongban_intake.text import Text

COOKIE = "tongban_kiosk"


class Authenticator:
    """Turns what a request carries into a kiosk."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def bearer(self, request: Request) -> Kiosk:
        """The kiosk of the `Authorization` header.

        Raises:
            Problem: 401, no token or none of ours.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(
                Kind.UNAUTHENTICATED,
                Text("缺少终端令牌", "Send Authorization: Bearer with the kiosk's token"),
            )
        return self.token(token.strip())

    def token(self, token: str) -> Kiosk:
        """The kiosk of a token.

        Raises:
            Problem: 401, none of ours or out of date.
        """
        try:
            return tokens.verify(self._secret, token)
        except InvalidToken:
            raise Problem(
                Kind.UNAUTHENTICATED,
                Text("终端令牌无效或已过期", "The token is not one of ours, or is out of date"),
                headers={"WWW-Authenticate": 'Bearer realm="tongban", error="invalid_token"'},
            ) from None

    def cookie(self, request: Request) -> Kiosk | None:
        """The kiosk that has logged in on this browser, None where none has."""
        token = request.cookies.get(COOKIE)
        if not token:
            return None
        try:
            return tokens.verify(self._secret, token)
        except InvalidToken:
            return None
