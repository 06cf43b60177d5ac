"""Change control.kiosks and control.assistants atomically: read, decide, write.

An operator who adds a key while another one revokes the kiosk must not undo the revocation. Kafka
has no compare-and-set, but producer fencing: a producer that initializes the register's
transactional id fences the one before it. So a change initializes its producer first, then reads,
then writes; if another change has begun meanwhile, the write is refused and the change starts anew.
Readers of these topics read committed records only.
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
from tongban_common.topics import CONTROL_ASSISTANTS, CONTROL_KIOSKS
from tongban_intake.access.enrolment.assistants import AssistantRecord
from tongban_intake.access.enrolment.kiosks import KioskRecord
from tongban_kafka import (
    KafkaAddress,
    KafkaUnavailableError,
    client_options,
    denials,
    is_denial,
    read_newest,
    refusals,
)

RecordT = TypeVar("RecordT", bound=BaseModel)
READ_COMMITTED: Mapping[str, Any] = {"isolation_level": "read_committed"}
"""Client options of every reader of a register."""
_TRANSACTION_MS = 15_000
_ATTEMPTS = 8
_CHANGE_S = 60.0
"""Seconds for one change with all its attempts. It exceeds `_TRANSACTION_MS`, for which an open
transaction of a crashed process blocks readers."""


class Register(Generic[RecordT]):
    """Reads and changes one topic of records by id, for operators' commands. Each call opens and
    closes its own connections."""

    def __init__(self, bootstrap: KafkaAddress, topic: str, model: type[RecordT]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._model = model

    async def all(self, *, despite_holes: bool = False) -> dict[str, RecordT]:
        """Return every record, by id.

        Args:
            despite_holes: return older records too where a part of the topic cannot be read.

        Raises:
            KafkaUnavailableError: the broker does not answer, the topic is not there, or it has a
                hole (`tongban_kafka.holes`).
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
        """Replace records, all of them or none.

        Each function of `changes` returns the new record for the newest one (None: there is none).
        The functions may be called several times. If one raises, nothing is written. A record that
        is returned unchanged is not written again.

        Args:
            despite_holes: decide on older records where a part of the topic cannot be read; only
                for changes that take rights away. Unchanged records are written too then, because
                the hole may have a newer one.

        Raises:
            KafkaUnavailableError: not written, or not known to be written, in time; the caller may
                repeat the change.
        """
        try:
            async with asyncio.timeout(_CHANGE_S):
                for _ in range(_ATTEMPTS):
                    try:
                        return await self._change(changes, despite_holes=despite_holes)
                    except ProducerFenced:  # another change began meanwhile
                        await asyncio.sleep(random.uniform(0.05, 0.5))
        except (KafkaError, TimeoutError) as error:
            if is_denial(error):
                text = denials.describe(self._bootstrap, error, "Write")
                raise KafkaUnavailableError(text) from error
            context = f"{self._topic} at {self._bootstrap}: {error!r}"
            raise KafkaUnavailableError(refusals.explain(context)) from error
        raise KafkaUnavailableError(f"{self._topic}: too many change it at once; try again")

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
            await producer.start()  # within `try`: `stop` is harmless if this fails
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
    """Return the register of kiosks, control.kiosks."""
    return Register(bootstrap, CONTROL_KIOSKS, KioskRecord)


def assistant_register(bootstrap: KafkaAddress) -> Register[AssistantRecord]:
    """Return the register of lobby managers, control.assistants."""
    return Register(bootstrap, CONTROL_ASSISTANTS, AssistantRecord)
