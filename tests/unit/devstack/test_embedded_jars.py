"""Fetching and checking the broker's jars, against a repository on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tongban_devstack.embedded.jars import (
    JarsUnavailableError,
    broker_home,
    class_path,
    jar_name,
    pinned_jars,
)
from tongban_devstack.ports import free_port

CONTENTS = {f"org.example:part{n}:1.{n}": f"jar {n}".encode() * 1000 for n in range(6)}
CUT_ONCE = "part3-1.3.jar"
"""The repository cuts the first transfer of it in the middle."""
PINNED = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def repository_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What jgo's settings name as the repository; nobody listens there by itself."""
    url = f"http://127.0.0.1:{free_port()}"
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\ncentral = {url}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    yield url


@pytest.fixture
async def repository(repository_url: str) -> AsyncIterator[Counter[str]]:
    """A Maven repository with the jars of CONTENTS; counts how often each was asked for."""
    asked: Counter[str] = Counter()
    by_name = {jar_name(coordinates): content for coordinates, content in CONTENTS.items()}

    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        asked[name] += 1
        if name not in by_name:
            raise web.HTTPNotFound
        if name == CUT_ONCE and asked[name] == 1:
            half = web.StreamResponse(headers={"Content-Length": str(len(by_name[name]))})
            await half.prepare(request)
            await half.write(by_name[name][:100])
            assert request.transport is not None
            request.transport.abort()
            return half
        return web.Response(body=by_name[name])

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    host, port = repository_url.removeprefix("http://").split(":")
    await web.TCPSite(runner, host, int(port)).start()
    yield asked
    await runner.cleanup()


def test_every_pinned_jar_has_whole_coordinates_and_a_digest() -> None:
    pinned = pinned_jars()
    assert "org.apache.kafka:kafka_2.13:4.3.1" in pinned
    for coordinates, digest in pinned.items():
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", coordinates)
        assert re.fullmatch(r"[0-9a-f]{64}", digest)


async def test_fetches_once_and_then_asks_nobody(cache: Path, repository: Counter[str]) -> None:
    first = await asyncio.to_thread(class_path, cache, PINNED)
    asked = repository.total()
    again = await asyncio.to_thread(class_path, cache, PINNED)
    assert again == first
    assert repository.total() == asked
    assert [jar.read_bytes() for jar in first] == list(CONTENTS.values())


async def test_two_processes_at_once_fetch_once(cache: Path, repository: Counter[str]) -> None:
    program = (
        "import json, sys; from pathlib import Path\n"
        "from tongban_devstack.embedded.jars import class_path\n"
        "for jar in class_path(Path(sys.argv[1]), json.loads(sys.argv[2])): print(jar)\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(cache), json.dumps(PINNED),
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1] != b""
    assert {name: n for name, n in repository.items() if name.endswith(".jar")} == {
        jar_name(coordinates): 1 for coordinates in PINNED
    } | {CUT_ONCE: 2}
    assert sorted(path.name for path in broker_home(cache).iterdir()) == ["fetch.lock", "jars"]


@pytest.mark.usefixtures("repository")
async def test_refuses_a_jar_that_was_altered_in_the_cache(cache: Path) -> None:
    jars = await asyncio.to_thread(class_path, cache, PINNED)
    jars[2].write_bytes(b"other code")
    with pytest.raises(JarsUnavailableError, match="not the jar that was pinned") as refused:
        class_path(cache, PINNED)
    said = str(refused.value)
    assert str(jars[2]) in said
    assert PINNED["org.example:part2:1.2"] in said
    assert hashlib.sha256(b"other code").hexdigest() in said
    assert "TONGBAN_KAFKA" in said


@pytest.mark.usefixtures("repository")
async def test_download_with_wrong_digest_is_discarded(cache: Path) -> None:
    wrong = PINNED | {"org.example:part4:1.4": "0" * 64}
    with pytest.raises(JarsUnavailableError, match=r"part4-1\.4\.jar"):
        await asyncio.to_thread(class_path, cache, wrong)
    assert [path.name for path in broker_home(cache).iterdir()] == ["fetch.lock"]


@pytest.mark.usefixtures("repository_url")
def test_failed_download_names_the_alternative(cache: Path) -> None:
    with pytest.raises(JarsUnavailableError, match="cannot be downloaded") as refused:
        class_path(cache, PINNED)
    assert "TONGBAN_KAFKA=HOST:PORT" in str(refused.value)
    assert str(broker_home(cache)) in str(refused.value)
