"""Define valid and forged messages to a gateway, whatever the protocol.

The product's own gateway classes send only valid messages. For the others a `Dialect` writes single
messages, and reads answers more closely than a connector needs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from yarl import URL

from tongban_ops.errors import OpsError

OWN_LIMIT = 256 * 1024
"""Bytes that intake accepts from a kiosk, and so the largest size of a form."""
LONGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that are read at most; a connector accepts fewer."""
GATEWAY_LIMIT = 1024 * 1024
"""Bytes of a message beyond which a gateway must refuse it."""


class Forgery(StrEnum):
    """Way in which a message is forged."""

    UNSIGNED = "unsigned"
    WRONG_KEY = "signed with another key"
    STALE = "signed ten minutes ago"
    ALTERED_BODY = "altered after it was signed"
    ALTERED_TARGET = "signed for another address"


@dataclass(frozen=True, slots=True)
class WireMessage:
    """One HTTP message to send. Its answer has to repeat `bound_to`, as the protocol defines."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes
    bound_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WireReply:
    """One HTTP answer, authenticated or not; `seconds` from sending to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class ReplyContents:
    """Content of an authenticated answer, in terms common to all protocols.

    `code` is `ok` (also for a 202) or the error's code; `status` is the HTTP status.
    """

    code: str
    status: int
    message: str = ""
    receipt: str | None = None
    retry_after_s: float | None = None
    said_at: float = 0.0
    """The gateway's wall clock, Unix seconds."""


class UnauthenticatedReplyError(OpsError):
    """Raised when an answer is not signed for this very message, or has the wrong shape."""


class Dialect(Protocol):
    """A protocol, as far as the kit speaks it beside the connector's class."""

    def submission(
        self,
        application: dict[str, Any],
        *,
        act_before: float,
        forgery: Forgery | None = None,
        padding: int = 0,
    ) -> WireMessage:
        """Return a submission, padded with `padding` meaningless bytes."""

    def look_up(self, request_id: str, *, forgery: Forgery | None = None) -> WireMessage:
        """Return a look-up; `ALTERED_TARGET` sends this id with the signature for another."""

    def incomplete(self, application: dict[str, Any], *, act_before: float) -> WireMessage:
        """Return a correctly signed submission without the item's code."""

    def elsewhere(self) -> WireMessage:
        """Return a correctly signed call that the protocol does not define."""

    def read(self, message: WireMessage, reply: WireReply) -> ReplyContents:
        """Authenticate and read an answer.

        Raises:
            UnauthenticatedReplyError: it cannot be authenticated.
        """

    def distrust(self, reply: WireReply) -> str | None:
        """Return the code with which a message was refused as forged; None if it was not."""
