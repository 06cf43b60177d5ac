"""Fails on aiokafka 0.14.0: a batch of 65 kB is unpacked to 64 MiB, and nothing can limit it."""

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

LIMIT = 16 << 20
builder = DefaultRecordBatchBuilder(
    magic=2, compression_type=1, is_transactional=0, producer_id=-1, producer_epoch=-1,
    base_sequence=-1, batch_size=1 << 30,
)  # fmt: skip
builder.append(0, 0, None, bytes(64 << 20), [])
packed = bytes(builder.build())
assert len(packed) < 100_000
(record,) = MemoryRecords(packed).next_batch()
unpacked = len(record.value)
assert unpacked <= LIMIT, f"{len(packed)} bytes became {unpacked}"
