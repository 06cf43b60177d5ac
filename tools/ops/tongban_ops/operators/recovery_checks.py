"""Recognise, before anything is written, a recovery from the wrong or from lost topics."""

from __future__ import annotations

from collections.abc import Sequence

from tongban_common import topics
from tongban_common.store import Store, store_errors
from tongban_kafka import Snapshot
from tongban_ops.errors import OpsError

REPORTS = (
    topics.REQUESTS_SUBMITTED,
    topics.REQUESTS_STATUS,
    topics.REQUESTS_COMPLETED,
    topics.DOCUMENTS_PRINTED,
    topics.NOTIFICATIONS_SENT,
)
"""Topics that a recovery of the store reads."""
_KEPT = ("requests", "print_orders", "message_guards", "documents")
"""Collections that only requests fill."""


class WrongTopicsError(OpsError):
    """Raised when a recovery from these topics would pass for one although it restored nothing."""


async def check_topics(snapshot: Snapshot, store: Store, names: Sequence[str] = REPORTS) -> None:
    """Check that the topics exist, and are not empty where the store holds requests.

    A store would otherwise be declared restored from the topics of another cluster, and what its
    guards lack would happen twice.

    Raises:
        WrongTopicsError: the text says what was found.
        KafkaUnavailableError, StoreUnavailableError
    """
    if missing := [name for name in names if not snapshot.exists(name)]:
        raise WrongTopicsError(
            f"no topic {', '.join(missing)}: does TONGBAN_KAFKA name the cluster?"
        )
    places = await snapshot.partitions(names)
    # Compare with 0, not with the beginning: retention may have emptied a topic of the right
    # cluster.
    if any((await snapshot.ends(places)).values()):
        return
    with store_errors():
        for name in _KEPT:
            if await store.collection(name).find_one({}, {"_id": 1}) is not None:
                raise WrongTopicsError(
                    f"the topics never held a request, and the store has {name}: does "
                    "TONGBAN_KAFKA name the cluster of this store?"
                )
