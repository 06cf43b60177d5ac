"""What this package changes in aiokafka 0.14, all of it in one place.

Each module says which fault of aiokafka it mends. `prepare_aiokafka` applies them; a client of this
package refuses to start without, as it would lose records that the broker holds.
"""

from __future__ import annotations

from tongban_kafka._aiokafka.connections import mend_connections
from tongban_kafka._aiokafka.unpacking import bound_unpacking

_prepared = False


def prepare_aiokafka() -> None:
    """Apply all changes to aiokafka in this process. Call it once, before any client is made; a
    second call does nothing."""
    global _prepared  # noqa: PLW0603 - aiokafka's classes are global as well
    if not _prepared:
        # Imported here: the module that mends fetching needs the package's own types.
        from tongban_kafka.unreadable import mend_fetching  # noqa: PLC0415

        mend_connections()
        mend_fetching()
        bound_unpacking()
        _prepared = True


def check_prepared() -> None:
    """Raises RuntimeError unless `prepare_aiokafka` was called in this process."""
    if not _prepared:
        raise RuntimeError("call tongban_kafka.prepare_aiokafka() before making a client")
