"""Kafka for all services: the worker, the producer, compacted views and the making of topics.

The guarantees, an example and the metrics are in docs/worker.md.
"""

from tongban_common.kafka.admin import Applied, PartitionMismatch, apply_topics
from tongban_common.kafka.config import (
    BatchConfig,
    DeadLetterLimit,
    RetryPolicy,
    WorkerConfig,
)
from tongban_common.kafka.connections import mend_connections
from tongban_common.kafka.dead_letters import Cause
from tongban_common.kafka.errors import (
    ConsumerFailed,
    DeadLetterLimitReached,
    KafkaUnavailable,
    Poison,
    Retry,
)
from tongban_common.kafka.producer import EventProducer
from tongban_common.kafka.record import Record
from tongban_common.kafka.register_view import RegisterView
from tongban_common.kafka.tail import BroadcastTail
from tongban_common.kafka.unpacking import bound_unpacking
from tongban_common.kafka.unreadable import (
    BatchRetries,
    UnreadableBatchError,
    batch_dead_letter,
    mend_fetching,
    offset_after,
)
from tongban_common.kafka.view import CompactedView
from tongban_common.kafka.vitals import Progress
from tongban_common.kafka.worker import BatchWorker, Worker

__all__ = [
    "Applied",
    "BatchConfig",
    "BatchRetries",
    "BatchWorker",
    "BroadcastTail",
    "Cause",
    "CompactedView",
    "ConsumerFailed",
    "DeadLetterLimit",
    "DeadLetterLimitReached",
    "EventProducer",
    "KafkaUnavailable",
    "PartitionMismatch",
    "Poison",
    "Progress",
    "Record",
    "RegisterView",
    "Retry",
    "RetryPolicy",
    "UnreadableBatchError",
    "Worker",
    "WorkerConfig",
    "apply_topics",
    "batch_dead_letter",
    "offset_after",
]

mend_connections()
mend_fetching()
bound_unpacking()
