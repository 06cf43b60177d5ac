"""Messages to a gateway, right ones and forged ones, whatever the protocol.

The product's own `Gateway` classes can say only what is right. For the rest a `Dialect` writes
single messages, and reads answers more closely than a connector needs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from yarl import URL

OWN_LIMIT = 256 * 1024
"""Bytes: what intake takes from a kiosk, so what a form can grow to."""
LONGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that are read at all; a connector believes fewer."""
GATEWAY_LIMIT = 1024 * 1024
"""Bytes of a message beyond which a gateway is to refuse it."""


class Forgery(StrEnum):
    """A way in which a message is not ours."""

    UNSIGNED = "unsigned"
    WRONG_KEY = "signed with another key"
    STALE = "signed ten minutes ago"
    ALTERED_BODY = "altered after it was signed"
    ALTERED_TARGET = "signed for another address"


@dataclass(frozen=True, slots=True)
class WireMessage:
    """One HTTP message as it is going to be sent. `bound_to` is what its answer has to repeat,
    in the protocol's own words."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes
    bound_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WireReply:
    """One HTTP answer, whoever gave it. `seconds` from sending to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class ReplyContents:
    """What a believed answer says, in the words of all protocols.

    `code` is `ok` (also for a 202), or the code of the error; `status` the HTTP status.
    """

    code: str
    status: int
    message: str = ""
    receipt: str | None = None
    retry_after_s: float | None = None
    said_at: float = 0.0
    """The gateway's own wall clock, Unix seconds."""


class UnauthenticatedReplyError(Exception):
    """An answer that is not signed for this very message, or not of the protocol's shape."""


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
        """A submission, made larger by `padding` bytes that mean nothing."""

    def look_up(self, request_id: str, *, forgery: Forgery | None = None) -> WireMessage:
        """A look-up; `ALTERED_TARGET` asks for this id with the signature for another."""

    def incomplete(self, application: dict[str, Any], *, act_before: float) -> WireMessage:
        """A submission, rightly signed, that lacks its item's code."""

    def elsewhere(self) -> WireMessage:
        """A call, rightly signed, that the protocol does not have."""

    def read(self, message: WireMessage, reply: WireReply) -> ReplyContents:
        """What an answer says.

        Raises:
            UnauthenticatedReplyError: it says nothing.
        """

    def distrust(self, reply: WireReply) -> str | None:
        """The code with which a message was refused as not ours; None: it was not."""
