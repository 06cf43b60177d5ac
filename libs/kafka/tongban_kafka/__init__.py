"""Provides workers, a producer and readers on aiokafka, with retries and dead letters.

`__all__` is the public face; `libs/kafka/README.md` states what is guaranteed. A process calls
`prepare_aiokafka` once, before it makes a client.
"""

from tongban_kafka import denials, faultpoints, refusals, tls
from tongban_kafka._aiokafka import prepare_aiokafka
from tongban_kafka._aiokafka.fetching import UnreadableBatchError
from tongban_kafka._aiokafka.group import committed_offsets, leave_at_close, watch_lease
from tongban_kafka.admin import Applied, PartitionMismatchError, apply_topics
from tongban_kafka.backoff import Backoff
from tongban_kafka.boot_clock import uptime
from tongban_kafka.cancellation import background_task, cancel_until_done
from tongban_kafka.commit_metadata import CommitMetadata
from tongban_kafka.config import BatchConfig, DeadLetterLimit, RetryPolicy, WorkerConfig
from tongban_kafka.dead_letters import (
    DEAD_LETTER_NEXT_OFFSET,
    DEAD_LETTER_PREFIX,
    DEAD_LETTER_VALUE_BYTES,
    Cause,
    DeadLetter,
    LimitWindow,
    dead_letter_forms,
    dead_letter_headers,
    dead_letter_value,
)
from tongban_kafka.errors import (
    ConsumerFailedError,
    DeadLetterLimitError,
    HandlerTypeError,
    KafkaUnavailableError,
    MessagingError,
    Poison,
    ProcessTroubleError,
    Retry,
    is_denial,
    is_process_trouble,
)
from tongban_kafka.holes import Acceptance, Hole, acceptances
from tongban_kafka.lease import Lease
from tongban_kafka.operator_texts import use_operator_texts
from tongban_kafka.pace import Pace
from tongban_kafka.partitioner import choose_partition, partition_of
from tongban_kafka.permissions import NeededPermissions, PermissionWatch
from tongban_kafka.producer import EventProducer
from tongban_kafka.reachability import reach
from tongban_kafka.record import Record
from tongban_kafka.refusal_memory import Refusal, RefusalMemory
from tongban_kafka.register_view import RegisterView
from tongban_kafka.scope import RecordScope
from tongban_kafka.security import (
    KafkaAddress,
    KafkaCluster,
    KafkaSecurity,
    KafkaSecurityError,
    SaslMechanism,
    SecurityProtocol,
    client_options,
    warn_of_plaintext,
)
from tongban_kafka.setting_files import SettingFileError, read_secret_file
from tongban_kafka.snapshot import OnProgress, Place, Snapshot, read_newest
from tongban_kafka.tail import BroadcastTail
from tongban_kafka.unreadable import (
    BatchRetries,
    batch_dead_letter,
    describe_batch,
    offset_after,
)
from tongban_kafka.view import CompactedView
from tongban_kafka.worker import BatchWorker, Worker
from tongban_kafka.worker_health import WorkerProgress

__all__ = [
    "DEAD_LETTER_NEXT_OFFSET",
    "DEAD_LETTER_PREFIX",
    "DEAD_LETTER_VALUE_BYTES",
    "Acceptance",
    "Applied",
    "Backoff",
    "BatchConfig",
    "BatchRetries",
    "BatchWorker",
    "BroadcastTail",
    "Cause",
    "CommitMetadata",
    "CompactedView",
    "ConsumerFailedError",
    "DeadLetter",
    "DeadLetterLimit",
    "DeadLetterLimitError",
    "EventProducer",
    "HandlerTypeError",
    "Hole",
    "KafkaAddress",
    "KafkaCluster",
    "KafkaSecurity",
    "KafkaSecurityError",
    "KafkaUnavailableError",
    "Lease",
    "LimitWindow",
    "MessagingError",
    "NeededPermissions",
    "OnProgress",
    "Pace",
    "PartitionMismatchError",
    "PermissionWatch",
    "Place",
    "Poison",
    "ProcessTroubleError",
    "Record",
    "RecordScope",
    "Refusal",
    "RefusalMemory",
    "RegisterView",
    "Retry",
    "RetryPolicy",
    "SaslMechanism",
    "SecurityProtocol",
    "SettingFileError",
    "Snapshot",
    "UnreadableBatchError",
    "Worker",
    "WorkerConfig",
    "WorkerProgress",
    "acceptances",
    "apply_topics",
    "background_task",
    "batch_dead_letter",
    "cancel_until_done",
    "choose_partition",
    "client_options",
    "committed_offsets",
    "dead_letter_forms",
    "dead_letter_headers",
    "dead_letter_value",
    "denials",
    "describe_batch",
    "faultpoints",
    "is_denial",
    "is_process_trouble",
    "leave_at_close",
    "offset_after",
    "partition_of",
    "prepare_aiokafka",
    "reach",
    "read_newest",
    "read_secret_file",
    "refusals",
    "tls",
    "uptime",
    "use_operator_texts",
    "warn_of_plaintext",
    "watch_lease",
]
