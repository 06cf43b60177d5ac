"""Authenticate the sender of an incoming signed request."""

from __future__ import annotations

import time

from aiohttp import web

from tongban_provinces.nonces import NonceMemory
from tongban_provinces.signing import PAASID, SignatureError, Stamp, verify_head, verify_request


class SenderAuthenticator:
    """Authenticates the requests of one sender, which is known by its token and its `paasid`.

    Args:
        others: further tokens that authenticate the sender, while tokens are rotated.
    """

    def __init__(self, token: str, *others: str, paasid: str = PAASID) -> None:
        self.token = token
        self._tokens = (token, *others)
        self._paasid = paasid
        self._nonces = NonceMemory()

    def recognised(self, request: web.Request, body: bytes) -> str:
        """Check the signatures of a request and return its nonce, new or not.

        Raises:
            SignatureError: as `verify_request`. The answer to such a request must carry no
                signature: an attacker who obtains a signed answer to a message of his own could
                pass it off as the answer to the sender's message with the same nonce.
        """
        stamp = verify_request(
            self.token_of(request),
            request.headers,
            method=request.method,
            target=request.raw_path,
            body=body,
            now=time.time(),
            paasid=self._paasid,
        )
        return stamp.nonce

    def token_of(self, request: web.Request) -> str:
        """Return the token that the headers are signed with; the answer is signed with it, too.

        Raises:
            SignatureError: as `verify_head`.
        """
        return self._head(request)[0]

    def _head(self, request: web.Request) -> tuple[str, Stamp]:
        for token in self._tokens[:-1]:
            try:
                return token, self._verified(token, request)
            except SignatureError:
                continue
        token = self._tokens[-1]
        return token, self._verified(token, request)

    def _verified(self, token: str, request: web.Request) -> Stamp:
        return verify_head(token, request.headers, now=time.time(), paasid=self._paasid)

    def check_head(self, request: web.Request) -> None:
        """Check the headers of a request before its body is read, and that its nonce is new.

        Raises:
            SignatureError: as `verify_head`; `replayed`.
        """
        stamp = self._head(request)[1]
        if self._nonces.has(stamp.nonce):
            raise SignatureError("replayed", "this nonce was used before")

    def take(self, nonce: str) -> None:
        """Record the nonce of an authenticated request.

        Raises:
            SignatureError: `replayed`: the nonce was used before.
        """
        self._nonces.take(nonce, time.time())
