"""`control.optouts`: mobile numbers that get no messages.

The key is a keyed digest of the number, see `tongban_common.domain.phones`. A tombstone removes the
number from the list.
"""

from __future__ import annotations

from pydantic import AwareDatetime

from tongban_common.control.records import StateRecord
from tongban_common.topics import CONTROL_OPTOUTS
from tongban_kafka import KafkaAddress, RegisterView


class OptOut(StateRecord):
    """The opt-out of one number. `since` is business time."""

    digest: str
    by: str
    since: AwareDatetime

    @property
    def key(self) -> str:
        """Return the record's key."""
        return self.digest


def optouts(bootstrap: KafkaAddress) -> RegisterView[OptOut]:
    """Return a view of all opt-outs by digest; the caller runs it."""
    return RegisterView(bootstrap, CONTROL_OPTOUTS, OptOut.from_record)
