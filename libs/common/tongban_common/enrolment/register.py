"""Changing control.kiosks and control.assistants: read, decide, write, as one step.

An operator who adds a key while another revokes must not undo the revocation. Kafka has no
compare-and-set, but it fences: whoever opens a transaction of the register's name ends those that
were open under it. So a change opens its transaction first, then reads, then writes; when another
change has begun meanwhile its write is refused, and it begins anew. Readers of these topics read
committed records only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import aiokafka
from aiokafka.errors import KafkaError, ProducerFenced
from pydantic import BaseModel

from tongban_common.control.records import JSON_HEADERS
from tongban_common.enrolment.assistants import AssistantRecord
from tongban_common.enrolment.kiosks import KioskRecord
from tongban_common.kafka import KafkaUnavailable, refusals
from tongban_common.kafka.snapshot import read_newest
from tongban_common.kafka_security import KafkaAddress, client_options
from tongban_common.topics import CONTROL_ASSISTANTS, CONTROL_KIOSKS

RecordT = TypeVar("RecordT", bound=BaseModel)
READ_COMMITTED: Mapping[str, Any] = {"isolation_level": "read_committed"}
"""How every reader of a register reads."""
_TRANSACTION_MS = 15_000
_ATTEMPTS = 8
_CHANGE_S = 60.0
"""For one change with all its attempts: a transaction that died open holds readers up for as long
as it may last."""


class Register(Generic[RecordT]):
    """One topic of records by id, for operators' commands. Each call opens and closes its own
    connections."""

    def __init__(self, bootstrap: KafkaAddress, topic: str, model: type[RecordT]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._model = model

    async def all(self, *, despite_holes: bool = False) -> dict[str, RecordT]:
        """Return every record, by id.

        Args:
            despite_holes: return older records too where a part of the topic cannot be read.

        Raises:
            KafkaUnavailable: the broker does not answer, the topic is not there, or it has a hole
                (`tongban_common.kafka.holes`).
        """
        return await read_newest(
            self._bootstrap,
            self._topic,
            self._model.model_validate_json,
            client=READ_COMMITTED,
            despite_holes=despite_holes,
        )

    async def change(
        self,
        changes: Mapping[str, Callable[[RecordT | None], RecordT]],
        *,
        despite_holes: bool = False,
    ) -> dict[str, RecordT]:
        """Replace records by what each function makes of the newest one; all of them or none.

        The functions may be called several times. What they raise ends the change, and nothing is
        written. A record that comes back equal is not written again.

        Args:
            despite_holes: decide on older records where a part of the topic cannot be read; for
                changes that take rights away and nothing else. Then a record that comes back equal
                is written again too: the newer one that it replaces may be in the hole.

        Raises:
            KafkaUnavailable: not written in time, or not known to be; the change may be repeated.
        """
        try:
            async with asyncio.timeout(_CHANGE_S):
                for _ in range(_ATTEMPTS):
                    try:
                        return await self._change(changes, despite_holes=despite_holes)
                    except ProducerFenced:  # another operator at the same moment
                        await asyncio.sleep(random.uniform(0.05, 0.5))
        except (KafkaError, TimeoutError) as error:
            told = f"{self._topic} at {self._bootstrap}: {error!r}"
            raise KafkaUnavailable(refusals.explain(told)) from error
        raise KafkaUnavailable(f"{self._topic}: too many change it at once; try again")

    async def _change(
        self,
        changes: Mapping[str, Callable[[RecordT | None], RecordT]],
        *,
        despite_holes: bool,
    ) -> dict[str, RecordT]:
        producer = aiokafka.AIOKafkaProducer(
            **client_options(self._bootstrap),
            client_id=f"register-{self._topic}",
            transactional_id=f"tongban-register-{self._topic}",
            transaction_timeout_ms=_TRANSACTION_MS,
            enable_idempotence=True,
        )
        try:
            await producer.start()  # what is closed although it never started says nothing
            known = await self.all(despite_holes=despite_holes)
            wanted = {key: make(known.get(key)) for key, make in changes.items()}
            fresh = {
                key: record
                for key, record in wanted.items()
                if despite_holes or record != known.get(key)
            }
            if fresh:
                async with producer.transaction():
                    for key, record in fresh.items():
                        await producer.send(
                            self._topic,
                            record.model_dump_json().encode(),
                            key=key.encode(),
                            headers=JSON_HEADERS,
                        )
            return wanted
        finally:
            await producer.stop()


def kiosk_register(bootstrap: KafkaAddress) -> Register[KioskRecord]:
    """control.kiosks."""
    return Register(bootstrap, CONTROL_KIOSKS, KioskRecord)


def assistant_register(bootstrap: KafkaAddress) -> Register[AssistantRecord]:
    """control.assistants."""
    return Register(bootstrap, CONTROL_ASSISTANTS, AssistantRecord)
