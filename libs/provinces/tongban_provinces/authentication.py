"""Authenticate the sender of an incoming signed request."""

from __future__ import annotations

import time

from aiohttp import web

from tongban_provinces.nonces import NonceMemory
from tongban_provinces.signing import PAASID, SignatureError, verify_head, verify_request


class SenderAuthenticator:
    """Authenticates the requests of one sender, which is known by its token and its `paasid`."""

    def __init__(self, token: str, *, paasid: str = PAASID) -> None:
        self.token = token
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
            self.token,
            request.headers,
            method=request.method,
            target=request.raw_path,
            body=body,
            now=time.time(),
            paasid=self._paasid,
        )
        return stamp.nonce

    def check_head(self, request: web.Request) -> None:
        """Check the headers of a request before its body is read, and that its nonce is new.

        Raises:
            SignatureError: as `verify_head`; `replayed`.
        """
        stamp = verify_head(self.token, request.headers, now=time.time(), paasid=self._paasid)
        if self._nonces.has(stamp.nonce):
            raise SignatureError("replayed", "this nonce was used before")

    def take(self, nonce: str) -> None:
        """Record the nonce of an authenticated request.

        Raises:
            SignatureError: `replayed`: the nonce was used before.
        """
        self._nonces.take(nonce, time.time())
