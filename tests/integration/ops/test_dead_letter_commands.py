"""`tongban dlt` on a real broker: what is chosen, written and told, and the exit codes."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from tests.integration.kafka.kit import read_all
from tests.unit.ops.test_operators import WITHDRAWAL
from tongban_common import topics
from tongban_common.clock import CHINA
from tongban_common.domain.ids import request_id
from tongban_common.events import Event, encode
from tongban_common.topics import TOPICS, dead_letter
from tongban_kafka import Cause, Poison, Record, apply_topics, dead_letter_headers
from tongban_ops.cli.main import application

Tongban = Callable[..., Result]
SHAPE = {
    "id", "failed_ms", "group", "source", "place", "type", "request_id", "cause", "exception",
    "attempts", "settled",
}  # fmt: skip


@pytest.fixture
def tongban(kafka: str, monkeypatch: pytest.MonkeyPatch) -> Tongban:
    monkeypatch.setenv("TONGBAN_KAFKA", kafka)
    asyncio.run(apply_topics(kafka, TOPICS.values()))

    def run(*arguments: str, code: int = 0) -> Result:
        answer = CliRunner(env={"COLUMNS": "300"}).invoke(application(), arguments)
        assert answer.exit_code == code, (arguments, answer.output, answer.exception)
        return answer

    return run


def ids(answer: Result) -> list[str]:
    return [line["id"] for line in json.loads(answer.stdout)]


async def give_up(
    kafka: str, group: str, letters: Sequence[tuple[str, float, str | None]]
) -> list[str]:
    """Dead letters as a worker of that group writes them: cause, hours ago, request or None for
    what is no event. Their ids."""
    made = []
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for cause, hours, request in letters:
            at = time.time() - hours * 3600
            body = WITHDRAWAL.model_copy(update={"request_id": request}) if request else None
            when = datetime.fromtimestamp(at, CHINA)
            event_id = str(uuid.uuid4())
            value, headers = encode(Event(event_id, "test", body, when)) if body else (b"\xff", [])
            key = request.encode() if request else b"nobody"
            source = Record(
                topics.REQUESTS_COMPLETED, 3, 7, round(at * 1000), key, value, tuple(headers),
                False, 0.0,
            )  # fmt: skip
            why = replace(Cause.of(Poison(cause), source, at), last_failed_at=at)
            story = dead_letter_headers(group, source, why)
            sent = await producer.send_and_wait(
                dead_letter(group), value, key, headers=story, timestamp_ms=round(at * 1000)
            )
            made.append(f"{group}@{sent.offset}")
    return made


def some_request() -> str:
    return request_id("s", kiosk_id="k", branch_id="b", key=str(uuid.uuid4()))


def written(kafka: str, topic: str) -> list[Any]:
    return asyncio.run(read_all(kafka, topic))


def test_list_with_several_filters_shows_letters_that_match_all(
    kafka: str, tongban: Tongban
) -> None:
    mark, request = uuid.uuid4().hex, some_request()
    old, new, poison = asyncio.run(
        give_up(
            kafka,
            "printing",
            [(f"No printer {mark}", 5, request), (f"no paper {mark}", 1, some_request()),
             (f"no event {mark}", 0.5, None)],
        )
    )  # fmt: skip
    (other,) = asyncio.run(give_up(kafka, "notify", [(f"no provider {mark}", 1, request)]))

    def listed(*filters: str) -> list[str]:
        return ids(tongban("dlt", "list", "--cause", mark, *filters, "--json"))

    assert sorted(listed()) == sorted([old, new, poison, other])
    assert listed("--group", "printing") == [old, new, poison]
    assert listed("--group", "printing", "--since", "2h") == [new, poison]
    assert listed("--group", "printing", "--until", "2h") == [old]
    assert listed("--since", "90m", "--until", "45m", "--group", "printing") == [new]
    assert sorted(listed("--request", request)) == sorted([old, other])
    assert listed("--request", request, "--group", "notify") == [other]
    assert listed("--source", topics.REQUESTS_SUBMITTED) == []
    assert listed(new, poison) == [new, poison]
    assert ids(tongban("dlt", "list", "--cause", f"no PRINTER {mark}", "--json")) == [old]
    shown = json.loads(tongban("dlt", "list", old, "--json").stdout)[0]
    assert set(shown) == SHAPE
    assert (shown["request_id"], shown["place"], shown["settled"], shown["type"]) == (
        request, "requests.completed/3@7", None, WITHDRAWAL.TYPE,
    )  # fmt: skip
    table = tongban("dlt", "list", "--cause", mark, "--group", "printing")
    assert all(one in table.stdout for one in (old, new, poison, "not decodable"))
    assert table.stderr.strip() == "3 dead letters"


def test_filtered_replay_writes_the_chosen_letters_once(kafka: str, tongban: Tongban) -> None:
    mark = uuid.uuid4().hex
    letters = [(f"no printer {mark}", 3, some_request()), (f"no printer {mark}", 1, some_request())]
    early, late = asyncio.run(give_up(kafka, "printing", letters))
    (elsewhere,) = asyncio.run(give_up(kafka, "notify", [(f"no printer {mark}", 1, None)]))
    topic = topics.replay("printing")
    watched = (topic, topics.replay("notify"), topics.CONTROL_DEAD_LETTERS)
    chosen = ("--group", "printing", "--cause", mark, "--since", "2h")
    before = {name: len(written(kafka, name)) for name in watched}

    (planned,) = json.loads(tongban("dlt", "replay", *chosen, "--dry-run", "--json").stdout)
    assert planned == {
        "id": late, "request_id": letters[1][2], "ways": ["again"], "topics": [topic],
        "replayed": False,
    }  # fmt: skip
    assert "would be replayed" in tongban("dlt", "replay", *chosen, "--dry-run").stdout
    assert {name: len(written(kafka, name)) for name in watched} == before

    (done,) = json.loads(tongban("dlt", "replay", *chosen, "--json").stdout)
    assert done == {**planned, "replayed": True}
    (again,) = written(kafka, topic)[before[topic] :]
    headers = dict(again.headers)
    assert (again.key.decode(), headers["ce_repeat"], headers["replay_of"].decode()) == (
        letters[1][2], b"true", late,
    )  # fmt: skip
    # A second time there is nothing to replay, and who asks for it by its id is told so.
    no = tongban("dlt", "replay", *chosen, code=66)
    assert f"no open dead letter of printing whose cause has '{mark}' since" in no.stderr
    assert "dlt list --all" in tongban("dlt", "replay", late, code=66).stderr
    assert len(written(kafka, topic)) == before[topic] + 1
    assert len(written(kafka, topics.replay("notify"))) == before[topics.replay("notify")]
    # Asked for all the same it has the same id, so that its reader knows it.
    tongban("dlt", "replay", late, "--again")
    assert dict(written(kafka, topic)[-1].headers)["ce_id"] == headers["ce_id"]

    left = tongban("dlt", "list", "--cause", mark, "--json")
    assert sorted(ids(left)) == sorted([early, elsewhere])
    (settled,) = json.loads(tongban("dlt", "list", late, "--all", "--json").stdout)
    assert (settled["settled"]["settlement"], settled["settled"]["times"]) == ("replayed", 2)


def test_letter_that_cannot_be_replayed_is_reported_and_the_rest_is_replayed(
    kafka: str, tongban: Tongban
) -> None:
    mark = uuid.uuid4().hex
    good, poison = asyncio.run(
        give_up(kafka, "notify", [(f"gone {mark}", 1, some_request()), (f"odd {mark}", 1, None)])
    )
    answer = tongban("dlt", "replay", "--group", "notify", "--cause", mark, "--json", code=1)
    told = {line["id"]: line for line in json.loads(answer.stdout)}
    assert (told[good]["replayed"], told[poison]["replayed"]) == (True, False)
    assert "cannot be decoded" in told[poison]["why"]
    reason = ("--reason", "nobody's")
    answer = tongban("dlt", "discard", "--cause", mark, *reason, "--json")
    assert json.loads(answer.stdout) == [{"id": poison, "discarded": True}]
    nothing = tongban("dlt", "discard", "--cause", mark, *reason, code=66)
    assert f"whose cause has '{mark}'" in nothing.stderr
    assert "there is no dead letter" in tongban("dlt", "show", "notify@999999", code=66).stderr
    assert "say which" in tongban("dlt", "replay", code=2).stderr
