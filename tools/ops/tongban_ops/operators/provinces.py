"""Read the provinces' state from Kafka, and write operators' pauses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tongban_common import topics
from tongban_common.control.connectors import HEARD_S, CircuitState, ConnectorState
from tongban_common.control.provinces import ProvinceControl
from tongban_common.control.records import JSON_HEADERS
from tongban_kafka import (
    EventProducer,
    KafkaAddress,
    KafkaUnavailableError,
    Snapshot,
    client_options,
    denials,
    is_denial,
    refusals,
)
from tongban_ops.operators.dead_letters import place_of, read_settled

LONGEST_PAUSE = timedelta(days=366)
"""Limit for a pause with an end. A pause without one has no limit."""
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ProvinceStanding:
    """State of one province's connectors, as Kafka shows it."""

    province: str
    control: ProvinceControl | None
    """The newest control record; `control.pauses(now)` tells if it applies now."""
    lag: int
    """Records of its topic that are not committed as done: waiting, under way or unread."""
    dead_letters: int
    """Dead letters that no operator has settled."""
    connectors: tuple[ConnectorState, ...] = ()
    """Newest report of each connector process; empty if none reported lately."""

    @property
    def worst(self) -> ConnectorState | None:
        """Return the report with the most trouble."""
        return max(self.connectors, key=_trouble, default=None)


def _trouble(state: ConnectorState) -> tuple[int, bool, int]:
    return list(CircuitState).index(state.circuit), state.cause is not None, state.waiting


async def standings(bootstrap: KafkaAddress, provinces: Iterable[str]) -> list[ProvinceStanding]:
    """Return the state of these provinces.

    Raises:
        KafkaUnavailableError: the broker does not answer.
    """
    codes = list(provinces)
    async with Snapshot(bootstrap) as snapshot:
        controls = await read_controls(snapshot)
        connectors = await read_connectors(snapshot)
        committed = await _committed(bootstrap, codes)
        calls = await snapshot.partitions(map(topics.province_requests, codes))
        letters = await snapshot.partitions(
            topics.dead_letter(topics.connector_group(code)) for code in codes
        )
        ends = await snapshot.ends([*calls, *letters])
        begins = await snapshot.begins([*calls, *letters])
        settled = set()
        for letter_id in await read_settled(snapshot):
            with suppress(ValueError):
                settled.add(place_of(letter_id))
    lags: dict[str, int] = {}
    for place in calls:
        lag = max(0, ends[place] - max(committed.get(place, 0), begins[place]))
        lags[place[0]] = lags.get(place[0], 0) + lag
    dead: dict[str, int] = {}
    for place in letters:
        dealt_with = sum(at == place and offset >= begins[place] for at, offset in settled)
        dead[place[0]] = dead.get(place[0], 0) + ends[place] - begins[place] - dealt_with
    return [
        ProvinceStanding(
            code,
            controls.get(code),
            lags.get(topics.province_requests(code), 0),
            max(0, dead.get(topics.dead_letter(topics.connector_group(code)), 0)),
            tuple(state for state in connectors if state.province == code),
        )
        for code in codes
    ]


async def read_controls(snapshot: Snapshot) -> dict[str, ProvinceControl]:
    """Return the newest control record of each province, by code. Where the topic has a hole,
    connectors wait whatever the records say (`tongban topics holes control.provinces`)."""
    return await snapshot.newest(topics.CONTROL_PROVINCES, ProvinceControl.from_record)


async def read_connectors(snapshot: Snapshot) -> list[ConnectorState]:
    """Return the newest recent report of each connector process."""
    since = round((time.time() - HEARD_S) * 1000)
    found: dict[str, ConnectorState] = {}
    places = await snapshot.partitions([topics.CONNECTORS_STATE])
    async for record in snapshot.read(places, since_ms=since):
        with suppress(ValueError):
            state = ConnectorState.from_record(record.value or b"")
            found[state.key] = state
    return [state for _, state in sorted(found.items())]


async def write_controls(bootstrap: KafkaAddress, controls: Iterable[ProvinceControl]) -> None:
    """Write control records; they are acknowledged when this returns.

    Raises:
        ValueError: a pause ends later than `LONGEST_PAUSE` after it began.
        KafkaUnavailableError: not acknowledged in time; write them again.
    """
    records = list(controls)
    if any(one.until is not None and one.until - one.since > LONGEST_PAUSE for one in records):
        raise ValueError(f"a pause ends within {LONGEST_PAUSE.days} days")
    async with EventProducer(
        bootstrap, client_id="tongban-operator", delivery_timeout=_TIMEOUT_S
    ) as producer:
        for control in records:
            key, value = control.to_record()
            await producer.send(
                topics.CONTROL_PROVINCES,
                key=key,
                value=value,
                headers=JSON_HEADERS,
            )


async def _committed(
    bootstrap: KafkaAddress, codes: Iterable[str]
) -> Mapping[tuple[str, int], int]:
    """Return the offsets that the connectors' groups have committed, by partition."""
    admin = AIOKafkaAdminClient(**client_options(bootstrap))
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            groups = [topics.connector_group(code) for code in codes]
            found = await asyncio.gather(*map(admin.list_consumer_group_offsets, groups))
    except (KafkaError, OSError, TimeoutError) as error:
        if is_denial(error):
            text = denials.describe(bootstrap, error, "Describe")
            raise KafkaUnavailableError(text) from error
        failure = f"{bootstrap}: {error or type(error).__name__}"
        raise KafkaUnavailableError(refusals.explain(failure)) from error
    finally:
        with suppress(KafkaError):
            await admin.close()
    return {
        (tp.topic, tp.partition): known.offset
        for offsets in found
        for tp, known in offsets.items()
        if known.offset >= 0
    }
