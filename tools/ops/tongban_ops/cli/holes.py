"""Define `tongban topics holes|accept-holes`: registers of which a part cannot be read."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tongban_common.control.records import JSON_HEADERS
from tongban_common.settings import CommonSettings, load
from tongban_common.topics import (
    CONTROL_ASSISTANTS,
    CONTROL_KIOSKS,
    CONTROL_OPTOUTS,
    CONTROL_PROVINCES,
)
from tongban_intake.access.enrolment import READ_COMMITTED
from tongban_kafka import Hole, KafkaAddress, Snapshot, acceptances
from tongban_ops.cli.console import By, Json, login_name, operator_producer, run, stop

REGISTERS = (CONTROL_KIOSKS, CONTROL_ASSISTANTS, CONTROL_PROVINCES, CONTROL_OPTOUTS)
_Topic = Annotated[str, typer.Argument(metavar="TOPIC", help=", ".join(REGISTERS))]


def holes(topic: _Topic, as_json: Json = False) -> None:
    """Show the parts of a register that cannot be read and were not accepted.

    Services that use the register wait meanwhile: intake admits no kiosk (control.kiosks,
    control.assistants), connectors call no province (control.provinces), notify sends no message
    (control.optouts). Exit codes: 2 not a register, 69 the broker does not answer.
    """
    settings = load(CommonSettings)
    found = run(_holes(settings.cluster, _register(topic)))
    if as_json:
        print(json.dumps([asdict(hole) for hole in found]))
        return
    for hole in found:
        print(f"{topic}: {hole}")
    if not found:
        print(f"{topic}: everything can be read")


def accept_holes(topic: _Topic, by: By = "", as_json: Json = False) -> None:
    """Declare that nothing is missing because of what cannot be read; readers go on within seconds.

    First write again what may have been lost there: `tongban kiosk revoke`, `tongban assistant
    revoke`, `tongban province pause` and `tongban optout add` work while there is a hole. A hole
    that is found later is not accepted by this. Exit codes: 1 there is no hole, 2 not a register,
    69 the broker does not answer.
    """
    settings = load(CommonSettings)
    found = run(_accept(settings.cluster, _register(topic), by or login_name()))
    if not found:
        raise stop(f"{topic}: everything can be read", 1)
    if as_json:
        print(json.dumps([asdict(hole) for hole in found]))
        return
    for hole in found:
        print(f"{topic}: accepted {hole}")


def _register(topic: str) -> str:
    if topic not in REGISTERS:
        raise typer.BadParameter(f"is one of {', '.join(REGISTERS)}", param_hint="TOPIC")
    return topic


async def _holes(bootstrap: KafkaAddress, topic: str) -> list[Hole]:
    async with Snapshot(bootstrap, client=READ_COMMITTED) as snapshot:
        _, found = await snapshot.newest_and_holes(topic, bytes)
    return found


async def _accept(bootstrap: KafkaAddress, topic: str, by: str) -> list[Hole]:
    found = await _holes(bootstrap, topic)
    async with operator_producer(bootstrap) as producer:
        for acceptance in acceptances(found, by=by):
            key, value = acceptance.to_record()
            await producer.send(topic, key=key, value=value, headers=JSON_HEADERS)
    return found
