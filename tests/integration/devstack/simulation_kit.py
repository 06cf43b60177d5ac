"""A process of the simulated outside, started, killed and started again on one directory."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pypdf

from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_provinces.signing import province_token, sign_request, verify_response

BIN = Path(sys.executable).parent
SECRET = "a-secret-of-the-tests"
HONOURS, REFUSES, TWICE = "110000", "120000", "130000"
"""One province of each manner."""
CUT = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""What a client sees of a connection that is cut instead of answered."""


async def until(condition: Callable[[], Awaitable[bool]], what: str, within: float = 40) -> None:
    """Poll until it holds; fail at the deadline with what was waited for."""
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.02)


class Simulation:
    """One process, its address and its directory."""

    def __init__(
        self, program: str, directory: Path, http: aiohttp.ClientSession, env: dict[str, str]
    ) -> None:
        self.program = program
        self.directory = directory
        self.http = http
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = env
        self._child: ChildProcess | None = None

    async def start(self, **changes: str) -> None:
        self._env |= changes
        env = {
            "TONGBAN_HTTP_PORT": str(self.port),
            "TONGBAN_DATA": str(self.directory),
            "TONGBAN_GATEWAY_SECRET": SECRET,
            **self._env,
        }
        argv = [sys.executable, str(BIN / f"tongban-{self.program}")]
        log = self.directory / "process.log"
        self._child = ChildProcess(ChildSpec(self.program, argv, log, {**os.environ, **env}))
        await until(self._answers, f"{self.program} to be ready", within=60)

    async def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.alive, self._child.log_tail()
        try:
            async with self.http.get(f"{self.url}/readyz") as reply:
                return reply.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        assert self._child is not None
        self._child.send_signal(signal.SIGKILL)
        assert await self._child.wait() == -signal.SIGKILL

    async def restart(self, **changes: str) -> None:
        await self.kill()
        await self.start(**changes)

    async def stop(self) -> int:
        """Exit code after SIGTERM."""
        assert self._child is not None
        return await self._child.stop(5)

    async def end(self) -> None:
        if self._child is not None and self._child.alive:
            await self._child.stop(5)

    async def get(self, path: str, **query: str) -> Any:
        async with self.http.get(self.url + path, params=query) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def fault(self, target: str, **faults: Any) -> None:
        async with self.http.put(f"{self.url}/faults/{target}", json=faults) as reply:
            assert reply.status == 200, await reply.text()

    async def mend(self) -> None:
        async with self.http.delete(f"{self.url}/faults") as reply:
            assert reply.status == 204

    # --- gateways

    async def call(
        self,
        province: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 10,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """A signed call below /applications; the answer's signature is checked, too."""
        token = province_token(SECRET, province)
        target = f"/p/{province}/api/v1/applications{path}"
        content = b"" if body is None else orjson.dumps(body)
        nonce = uuid.uuid4().hex
        signed = sign_request(
            token,
            method=method,
            target=target,
            body=content,
            timestamp=int(time.time()),
            nonce=nonce,
        )
        async with self.http.request(
            method,
            self.url + target,
            data=content,
            headers={**signed, **(headers or {})},
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as reply:
            raw = await reply.read()
            verify_response(
                token,
                reply.headers,
                status=reply.status,
                body=raw,
                nonce=nonce,
                now=time.time(),
            )
            said: dict[str, Any] = orjson.loads(raw)
            if "Retry-After" in reply.headers:
                said["retry_after"] = int(reply.headers["Retry-After"])
            return reply.status, said

    async def submit(
        self, province: str, request_id: str, *, timeout: float = 10, **changes: Any
    ) -> tuple[int, dict[str, Any]]:
        body = application(request_id, **changes)
        return await self.call(province, "POST", "", body, timeout=timeout)

    async def look_up(self, province: str, request_id: str) -> tuple[int, dict[str, Any]]:
        return await self.call(province, "GET", f"/{request_id}")

    async def withdraw(self, province: str, request_id: str) -> tuple[int, dict[str, Any]]:
        body = {"act_before": in_ms(5)}
        return await self.call(province, "POST", f"/{request_id}/withdrawal", body)

    async def supplement(
        self, province: str, request_id: str, supplement_id: str = "s-1"
    ) -> tuple[int, dict[str, Any]]:
        body = {"supplement_id": supplement_id, "form": {"a": "b"}, "act_before": in_ms(5)}
        return await self.call(province, "POST", f"/{request_id}/supplements", body)

    async def ledger(self, request_id: str) -> dict[str, tuple[int, int]]:
        """Effect -> attempts and count of one request."""
        lines = await self.get("/ledger", request_id=request_id)
        return {line["effect"]: (line["attempts"], line["count"]) for line in lines}


@asynccontextmanager
async def simulation(program: str, directory: Path, **env: str) -> AsyncIterator[Simulation]:
    """The process, ready, on a directory of its own; ended with the context."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)  # no retry over a reused connection
    async with aiohttp.ClientSession(connector=connector) as http:
        place = Simulation(program, directory, http, env)
        try:
            await place.start()
            yield place
        finally:
            await place.end()


def fresh() -> str:
    """A request id of one test's own."""
    return f"r-{uuid.uuid4().hex}"


def in_ms(seconds: float) -> int:
    """Wall clock in epoch milliseconds, so many seconds from now."""
    return round((time.time() + seconds) * 1000)


def application(request_id: str, **changes: Any) -> dict[str, Any]:
    """The body of a submission that the gateways take."""
    return {
        "request_id": request_id,
        "item_code": "34000020140002001",
        "item_name": "社保缴费证明",
        "kind": "print",
        "applicant": {"type": "person", "name": "张三", "id_number": "341126199003070011"},
        "form": {"insured_city": "合肥市"},
        "act_before": in_ms(5),
        **changes,
    }


def pdf(pages: int = 1) -> bytes:
    """A PDF of blank pages."""
    writer = pypdf.PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(595, 842)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def of(lines: Sequence[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    """The lines of a ledger that have these values."""
    return [line for line in lines if all(line[name] == wanted[name] for name in wanted)]
