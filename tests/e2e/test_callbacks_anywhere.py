"""A callback reaches a replica that never spoke to the province, and becomes one outcome."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e import published_checking
from tests.e2e.chain_kit import Chain, chain_on, until
from tests.e2e.plain_reading import all_records
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.ports import free_port

pytestmark = pytest.mark.long
PROVINCES = ("140000", "150000", "210000")
"""One of each manner, all with receipts and callbacks; spoken to by the process `connectors`."""
DOOR = "door"
"""Another process of the same program, for another province: all callbacks arrive here."""
ELSEWHERE = "110000"


@pytest.fixture(scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    directory = tmp_path_factory.mktemp("callbacks")
    port = free_port()
    env = {
        "TONGBAN_PROVINCES": ",".join(PROVINCES),
        "TONGBAN_CALLBACKS": f"http://127.0.0.1:{port}",
    }
    async with (
        EmbeddedKafka(directory / "kafka") as broker,
        chain_on(broker, directory, **env) as running,
    ):
        running.ports[DOOR] = port
        running.programs[DOOR] = "connectors"
        running.start(DOOR, TONGBAN_PROVINCES=ELSEWHERE)
        await running.ready(DOOR)
        yield running


async def counted(chain: Chain, name: str, metric: str) -> Counter[str]:
    """Province -> what a process has counted of it."""
    found: Counter[str] = Counter()
    for line in await chain.metrics(name):
        if line.startswith(f"{metric}{{"):
            labels, value = line.rsplit(" ", 1)
            (province,) = re.findall(r'province="(\d+)"', labels)
            found[province] += int(float(value))
    return found


async def told(chain: Chain, request: str) -> list[dict[str, Any]]:
    """What the gateways have told, or tried to."""
    url = f"{chain.gateways}/callbacks"
    async with chain.http.get(url, params={"request_id": request}) as reply:
        notices: list[dict[str, Any]] = await reply.json()
        return notices


async def became_one_outcome(chain: Chain, request: str) -> None:
    """The submission was answered with a receipt, and what was asked then is the only result."""

    async def confirmed() -> bool:
        return [each["status"] for each in await told(chain, request)] == ["told"]

    await until(confirmed, "the province's callback to be taken")
    await until(lambda: chain.completed[request] > 0, "completion")
    said = [(each.call, each.outcome) for each in chain.outcomes if each.request_id == request]
    assert said.count((CallKind.POLL, OutcomeKind.COMPLETED)) == 1
    assert [each for each in said if each[1] is OutcomeKind.COMPLETED] == [
        (CallKind.POLL, OutcomeKind.COMPLETED)
    ]
    told_of = [entry.status.value for entry in chain.statuses[request].values()]
    assert told_of == ["submitted", "routed", "accepted", "completed"]
    assert (await chain.ledger())[request] == Counter(submit=1)


async def test_a_callback_to_another_replica_is_one_outcome(chain: Chain) -> None:
    requests = [
        await chain.submit(number, province, key="door-")
        for number, province in enumerate(PROVINCES * 3)
    ]
    await asyncio.gather(*(became_one_outcome(chain, request) for request in requests))
    at_the_door = await counted(chain, DOOR, "tongban_connector_callbacks_total")
    assert at_the_door == Counter(dict.fromkeys(PROVINCES, 3))
    assert await counted(chain, "connectors", "tongban_connector_callbacks_total") == Counter()
    calls = "tongban_connector_calls_total"
    assert set(await counted(chain, DOOR, calls)) <= {ELSEWHERE}
    assert set(await counted(chain, "connectors", calls)) == set(PROVINCES)
    assert all(chain.notices[request] >= 1 for request in requests)
    records = await all_records(chain.broker.address)
    assert published_checking.of_type(records, "tongban.province.notice.v1") >= len(requests)


@pytest.mark.parametrize("point", ["callback.before_publish", "callback.after_publish"])
async def test_the_replica_that_dies_over_a_callback_is_called_again(
    chain: Chain, point: str
) -> None:
    """Between taking the callback and answering it: the province has no 200, and repeats."""
    await chain.kill(DOOR, TONGBAN_PROVINCES=ELSEWHERE, TONGBAN_FAULTPOINTS=point)
    await chain.ready(DOOR)
    request = await chain.submit(1, PROVINCES[-1], key=f"{point}-")
    async with asyncio.timeout(60):
        assert await chain.children[DOOR].wait() == -signal.SIGKILL
    chain.start(DOOR, TONGBAN_PROVINCES=ELSEWHERE)
    await became_one_outcome(chain, request)
    (notice,) = await told(chain, request)
    assert notice["attempts"] >= 2, "the first was not answered"
    published = 2 if point.endswith("after_publish") else 1
    await until(lambda: chain.notices[request] >= published, "the notices to be read")
