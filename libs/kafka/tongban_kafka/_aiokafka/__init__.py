"""Changes and private accesses to aiokafka 0.14, all of them in this package.

Each module names the fault of aiokafka that it mends. `prepare_aiokafka` applies the changes; the
clients of `tongban_kafka` refuse to start without them, because they would lose records.
"""

from __future__ import annotations

from tongban_kafka._aiokafka.connections import mend_connections
from tongban_kafka._aiokafka.fetching import mend_fetching
from tongban_kafka._aiokafka.unpacking import bound_unpacking

_prepared = False


def prepare_aiokafka() -> None:
    """Apply all changes to aiokafka in this process. Call it once, before any client is made.
    Idempotent."""
    global _prepared  # noqa: PLW0603 - aiokafka's classes are global as well
    if not _prepared:
        mend_connections()
        mend_fetching()
        bound_unpacking()
        _prepared = True


def check_prepared() -> None:
    """Check that `prepare_aiokafka` was called in this process.

    Raises:
        RuntimeError: it was not.
    """
    if not _prepared:
        raise RuntimeError("call tongban_kafka.prepare_aiokafka() before making a client")
