"""A consumer runtime on aiokafka: worker, producer, compacted views, dead letters, topics.

The guarantees, an example and the metrics are in docs/worker.md.
"""

from tongban_kafka._aiokafka import prepare_aiokafka
from tongban_kafka.admin import Applied, PartitionMismatchError, apply_topics
from tongban_kafka.config import (
    BatchConfig,
    DeadLetterLimit,
    RetryPolicy,
    WorkerConfig,
)
from tongban_kafka.dead_letters import Cause
from tongban_kafka.errors import (
    ConsumerFailedError,
    DeadLetterLimitError,
    KafkaUnavailableError,
    Poison,
    Retry,
)
from tongban_kafka.operator_texts import use_operator_texts
from tongban_kafka.producer import EventProducer
from tongban_kafka.record import Record
from tongban_kafka.register_view import RegisterView
from tongban_kafka.tail import BroadcastTail
from tongban_kafka.unreadable import (
    BatchRetries,
    UnreadableBatchError,
    batch_dead_letter,
    offset_after,
)
from tongban_kafka.view import CompactedView
from tongban_kafka.worker import BatchWorker, Worker
from tongban_kafka.worker_health import WorkerProgress

__all__ = [
    "Applied",
    "BatchConfig",
    "BatchRetries",
    "BatchWorker",
    "BroadcastTail",
    "Cause",
    "CompactedView",
    "ConsumerFailedError",
    "DeadLetterLimit",
    "DeadLetterLimitError",
    "EventProducer",
    "KafkaUnavailableError",
    "PartitionMismatchError",
    "Poison",
    "Record",
    "RegisterView",
    "Retry",
    "RetryPolicy",
    "UnreadableBatchError",
    "Worker",
    "WorkerConfig",
    "WorkerProgress",
    "apply_topics",
    "batch_dead_letter",
    "offset_after",
    "prepare_aiokafka",
    "use_operator_texts",
]
