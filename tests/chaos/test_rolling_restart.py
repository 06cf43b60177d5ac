"""Every process is replaced, one by one and some of them by a kill, while requests come in."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.hops_kit import longest_waits, read_hops
from tests.chaos.rolling_kit import PATIENCE_S, Replacement, ServiceAddress, replace
from tests.e2e.chain_kit import until
from tongban_common.catalogue.provinces import find_directory
from tongban_devstack.commands import BRANCH_ID, KIOSK_ID
from tongban_devstack.gateways.provinces import PROTOCOLS, Manner, load_provinces
from tongban_devstack.load.steady import Entrances, Phase, SteadyKiosks, outside_counts
from tongban_devstack.stack import SERVICES, Stack, StackOptions
from tongban_ops.catalogue.loader import load

RATE = 2.0
CALM = 50
PROVINCES = ("110000", "310000", "370000", "510000")
"""Few, so that two cores carry two connectors of each; of every manner and protocol."""
KILLED = {"router-1", "connectors-1", "printing-1"}
"""Replicas that a kill -9 ends in the middle of the roll-out."""
STOPPED_AT_MOST_S, KILLED_AT_MOST_S, TIMES_CALM = 6.0, 20.0, 5.0
"""Bounds of the 99th percentile while processes are stopped, and while some are killed; a busy
machine gets so many times the calm one more. After a kill a request waits for the session of router
and of connectors, and then until what the killed process may have sent to the province has run out.
"""
GRACE_S = {"intake": 40, "router": 40, "connectors": 45, "printing": 45, "notify": 40}
"""docs/operations/scale.md, and `terminationGracePeriodSeconds` in deploy/k8s."""


async def roll_out(stack: Stack, names: list[str], replaced: dict[str, Replacement]) -> None:
    """Replace these processes, the next when the one before is ready, as a StatefulSet does."""
    for name in names:
        number = signal.SIGKILL if name in KILLED else signal.SIGTERM
        replaced[name] = await replace(stack, name, number)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_rolling_restart_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """After the roll-out of all services the broker is restarted, too."""
    chosen = [load_provinces()[code] for code in PROVINCES]
    assert {each.manner for each in chosen} == set(Manner)
    assert {each.protocol for each in chosen} == set(PROTOCOLS)
    items = [item for item in load(find_directory()) if item.province in PROVINCES]
    replaced: dict[str, Replacement] = {}
    async with (
        ServiceAddress() as callbacks,
        Stack(stack_options(tmp_path, callbacks)) as stack,
        SteadyKiosks(await entrances(stack), items, rate=RATE) as kiosks,
    ):
        callbacks.targets = [stack._url(name) for name in stack.replicas("connectors")]
        names = [name for service in SERVICES for name in reversed(stack.replicas(service))]
        stopped = [name for name in names if name not in KILLED]
        warm = await kiosks.during(at_least=15)  # processes that have just started are slow
        phases = {
            "calm": await kiosks.during(at_least=CALM),
            "stopped": await kiosks.during(roll_out(stack, stopped, replaced), at_least=CALM),
            "killed": await kiosks.during(roll_out(stack, sorted(KILLED), replaced), at_least=15),
            "broker": await kiosks.during(replace(stack, "kafka"), at_least=15),
        }
        print(json.dumps({name: kiosks.figures(phase) for name, phase in phases.items()}))
        for name in ("stopped", "killed"):
            await print_slowest(stack, kiosks, phases[name])
        print({name: f"{each.stopped_s:.1f} {each.ready_s:.1f}" for name, each in replaced.items()})

        for name, each in replaced.items():
            assert each.code == (-signal.SIGKILL if name in KILLED else 0), name
            assert each.stopped_s < GRACE_S[name.rpartition("-")[0]], (name, each)
        assert set(replaced) == set(names)
        assert stack.supervisor.restarts.keys() == {*replaced, "kafka"}, "nothing else died"
        await nothing_lost_or_doubled(stack, kiosks, [warm, *phases.values()])
        slow = TIMES_CALM * kiosks.latency(phases["calm"], 0.99)
        assert kiosks.latency(phases["stopped"], 0.99) <= STOPPED_AT_MOST_S + slow
        assert kiosks.latency(phases["killed"], 0.99) <= KILLED_AT_MOST_S + slow


def stack_options(data: Path, callbacks: ServiceAddress) -> StackOptions:
    """Return the options of a stack with two processes of each service."""
    connectors = {"TONGBAN_PROVINCES": ",".join(PROVINCES), "TONGBAN_CALLBACKS": callbacks.url}
    return StackOptions(
        data=data,
        replicas=dict.fromkeys(SERVICES, 2),
        environments={"connectors": connectors},
    )


async def entrances(stack: Stack) -> Entrances:
    """Return where kiosks submit: each attempt at the next replica of intake."""
    return Entrances(
        [stack._url(name) for name in stack.replicas("intake")],
        await stack.token(KIOSK_ID, BRANCH_ID),
        stack.cluster,
        PATIENCE_S,
    )


async def print_slowest(stack: Stack, kiosks: SteadyKiosks, phase: Phase, count: int = 12) -> None:
    """Print at which hops the slowest requests of a phase waited."""
    took = {each: kiosks.ended[each][0] - due for each, due in phase.due.items()}
    slowest = sorted(took, key=took.__getitem__, reverse=True)[:count]
    hops = await read_hops(stack.cluster, slowest, PROVINCES)
    for each in slowest:
        since = phase.due[each] - min(phase.due.values())
        print(f"due at {since:.1f} s took {took[each]:.2f} s: {longest_waits(hops[each])}")


async def nothing_lost_or_doubled(stack: Stack, kiosks: SteadyKiosks, phases: list[Phase]) -> None:
    """Compare what intake accepted with the ledgers of the simulated outside."""
    assert [(phase.refused, phase.given_up) for phase in phases] == [([], 0)] * len(phases)
    accepted = {request_id for phase in phases for request_id in phase.due}
    assert {kiosks.ended[request_id][1] for request_id in accepted} == {"completed"}
    async with aiohttp.ClientSession() as http:
        effects = await outside_counts(http, f"{stack.gateways}/ledger", "request_id", "effect")
        assert effects == {(request_id, "submit"): 1 for request_id in accepted}

        async def all_out() -> bool:
            messages = await outside_counts(http, f"{stack.devices}/messages", "request_id")
            sheets = await outside_counts(http, f"{stack.devices}/printed", "request_id")
            told, printed = {key[0] for key in messages}, {key[0] for key in sheets}
            return accepted <= told and accepted & kiosks.printing <= printed

        await until(all_out, "every message and every sheet", PATIENCE_S)
        messages = await outside_counts(http, f"{stack.devices}/messages", "request_id", "template")
        assert messages == {(request_id, "completed"): 1 for request_id in accepted}
        sheets = await outside_counts(http, f"{stack.devices}/printed", "request_id", "document_id")
        assert set(sheets.values()) == {1}
