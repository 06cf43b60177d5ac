"""Run the router on Faust, and meet here, and nowhere else, each fault of Faust that could lose,
repeat or reorder records.

Versions are faust-streaming 0.15.3 and aiokafka 0.14. An issue number names the upstream issue; the
others are reproduced or tested by the named file.

- An exception in an agent skips the event (faust-streaming #315): `handler`.
- exactly_once duplicates records on a rebalance (faust-streaming #323): `app` processes at least
  once, and repeats are marked (`RedeliveryWindow`, ADR 0006).
- A consumer dies slowly while the process stays up (faust-streaming #175): `progress`.
- The flush before a commit does not wait for all records: `producer`, ADR 0002,
  tests/unit/router/faust_runtime/test_faust_faults.py.
- Fetched records are dropped in a recovery or rebalance and not fetched again: `consumer`,
  `offsets`, ADR 0007, tests/integration/router/test_consumer.py.
- Records that were handed on between a seek and the resumption after it are cleared from the queues
  and committed past: `consumer`, tests/unit/router/faust_runtime/test_consumer.py.
- A router that was taken for dead goes on until the next heartbeat: `membership`, ADR 0006,
  tests/chaos/test_frozen_router.py.
- A deleted topic is left out of the assignment for ever: `progress`, `membership`,
  tests/e2e/test_router_faults.py.
- A batch that cannot be unpacked stops its consumer: `batch_reader`, ADR 0020,
  tests/unit/router/faust_runtime/test_batches.py.
- A local table that missed deletions, or is ahead of its changelog: `store`, ADR 0017,
  tests/unit/router/faust_runtime/test_store.py.
- A process that reaches no broker at its start ends: `broker`,
  tests/integration/router/test_without_broker.py.
"""
