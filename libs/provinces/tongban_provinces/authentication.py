"""Who calls: signed HTTP messages as they arrive, here and at the simulated provinces."""

from __future__ import annotations

import time

from aiohttp import web

from tongban_provinces.nonces import NonceMemory
from tongban_provinces.signing import PAASID, SignatureError, verify_head, verify_request


class SenderAuthenticator:
    """One whose messages are read here. It is known by its token, and says who it is (`paasid`)."""

    def __init__(self, token: str, *, paasid: str = PAASID) -> None:
        self.token = token
        self._paasid = paasid
        self._nonces = NonceMemory()

    def recognised(self, request: web.Request, body: bytes) -> str:
        """The nonce of a message that is the sender's own, whether it is new or not.

        Raises:
            SignatureError: as `verify_request`. What is answered must carry no signature: who could
                have any message answered with one could pass that off as the answer to another one
                with the same nonce.
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

    def announced(self, request: web.Request) -> None:
        """Return if the head of a message is the sender's, and its nonce has not been taken.

        Raises:
            SignatureError: it is not.
        """
        stamp = verify_head(self.token, request.headers, now=time.time(), paasid=self._paasid)
        if self._nonces.has(stamp.nonce):
            raise SignatureError("replayed", "this nonce was used before")

    def take(self, nonce: str) -> None:
        """Remember the nonce of a message that was recognised.

        Raises:
            SignatureError: `replayed`.
        """
        self._nonces.take(nonce, time.time())
