"""`control.optouts`: numbers that get no messages. Key: keyed digest of the number, see
`tongban_common.domain.phones`. A tombstone takes the number off the list."""

from __future__ import annotations

from pydantic import AwareDatetime

from tongban_common.control.records import StateRecord
from tongban_common.topics import CONTROL_OPTOUTS
from tongban_kafka.register_view import RegisterView
from tongban_kafka.security import KafkaAddress


class OptOut(StateRecord):
    """One number whose owner wants no messages. `since` is business time."""

    digest: str
    by: str
    since: AwareDatetime

    @property
    def key(self) -> str:
        """The record's key."""
        return self.digest


def optouts(bootstrap: KafkaAddress) -> RegisterView[OptOut]:
    """All numbers that get no messages, by digest; a reader to be run."""
    return RegisterView(bootstrap, CONTROL_OPTOUTS, OptOut.from_record)
