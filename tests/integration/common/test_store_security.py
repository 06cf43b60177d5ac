"""A store with TLS and users: what connects, what is refused in which words, and recovery."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import SecretStr

from tongban_common.store import Store, StoreUnavailableError
from tongban_common.store_address import StoreAddress, StoreSecurity
from tongban_devstack.embedded import EmbeddedStore
from tongban_devstack.embedded.security import CertificateAuthority
from tongban_devstack.embedded.store import EmbeddedStoreSecurity
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec

pytestmark = pytest.mark.long

USER, WORD = "tongban", "correct-horse"
BIN = Path(sys.executable).parent


class Secured:
    """A store that is restarted with other certificates, and its authority."""

    def __init__(self, directory: Path) -> None:
        self.server = EmbeddedStore(directory / "store")
        self.authority = CertificateAuthority(directory / "authority")
        self.other = CertificateAuthority(directory / "other", "another authority")
        self.mine = self.authority.issue("client")

    def client(self, **changes: Any) -> StoreSecurity:
        given: dict[str, Any] = {
            "username": USER,
            "password": SecretStr(WORD),
            "tls": True,
            "ca_file": self.authority.file,
            **changes,
        }
        return StoreSecurity(**given)

    async def restart(self, name: str = "server", *, mutual: bool = False, **issue: Any) -> None:
        """Restart with a new certificate; one that clients refuse has a probe without TLS."""
        await self.server.stop()
        self.server.security = EmbeddedStoreSecurity(
            client=self.client(
                certificate_file=self.mine.certificate_file, key_file=self.mine.key_file
            ),
            certificate=self.authority.issue(name, **issue),
            client_authority=self.authority.file if mutual else None,
            authenticates=True,
        )
        if issue:
            # The embedded store's own probe would wait for a certificate that is right.
            await self._start_without_probe()
        else:
            await self.server.start()

    async def _start_without_probe(self) -> None:
        async def listens() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            writer.close()

        probe, self.server.probe = self.server.probe, listens  # type: ignore[method-assign]

        async def patient() -> None:
            from tongban_devstack.readiness import NotReadyError  # noqa: PLC0415

            try:
                await listens()
            except OSError as error:
                raise NotReadyError("nothing listens yet") from error

        self.server.probe = patient  # type: ignore[method-assign]
        await self.server.start()
        self.server.probe = probe  # type: ignore[method-assign]

    async def said(self, security: StoreSecurity | None, url: str = "") -> str:
        """Return what a client says about the store; empty if the store answers it."""
        store = Store(
            StoreAddress(url or self.server.address, security), "secured", timeout_ms=4000
        )
        said = ""
        try:
            for _ in range(4):  # a loaded machine may take longer than the first time-out
                try:
                    await store.ping()
                except StoreUnavailableError as error:
                    said = str(error)
                    assert WORD not in said
                    if "look at" in said:
                        break
                else:
                    return ""
        finally:
            store.close()
        return said


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    place = Secured(tmp_path_factory.mktemp("secured"))
    await place.server.start()
    admin: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(place.server.address)
    await admin.admin.command("createUser", USER, pwd=WORD, roles=["root"])
    admin.close()
    await place.restart()
    yield place
    await place.server.stop()


async def test_client_with_the_right_settings_writes_and_reads(place: Secured) -> None:
    store = Store(StoreAddress(place.server.address, place.client()), "secured")
    await store.ping()
    await store.collection("orders").insert_one({"_id": 1})
    assert await store.collection("orders").find_one({"_id": 1}) == {"_id": 1}
    store.close()


@pytest.mark.parametrize(
    ("changes", "reason", "look_at"),
    [
        ({"password": SecretStr("wrong")}, "does not accept the user name", "STORE_PASSWORD_FILE"),
        ({"username": "nobody"}, "does not accept the user name", "STORE_USERNAME"),
        ({"username": None, "password": None}, "the store expects a user", "STORE_USERNAME"),
        ({"ca_file": None}, "no trusted authority has signed", "STORE_TLS_CA_FILE"),
        ({"tls": False, "ca_file": None}, "as one does that expects TLS", "STORE_TLS"),
    ],
)
async def test_client_with_wrong_settings_is_told_which(
    place: Secured, changes: dict[str, Any], reason: str, look_at: str
) -> None:
    said = await place.said(place.client(**changes))
    assert reason in said
    assert look_at in said


async def test_certificate_of_another_authority_is_not_trusted(place: Secured) -> None:
    assert "no trusted authority" in await place.said(place.client(ca_file=place.other.file))


async def test_client_with_tls_at_a_store_without_is_told(place: Secured, store: str) -> None:
    said = await place.said(place.client(), store)
    assert "no TLS at this port" in said, said


async def test_process_with_a_wrong_password_says_so_once_and_is_not_ready(
    place: Secured, tmp_path: Path
) -> None:
    """Kafka is away: the probe reports the store all the same."""
    port = free_port()
    wrong = tmp_path / "password"
    wrong.write_text("wrong-horse\n")
    log = tmp_path / "notify.log"
    env = {
        **os.environ,
        "TONGBAN_ENVIRONMENT": "development",
        "TONGBAN_KAFKA": f"127.0.0.1:{free_port()}",
        "TONGBAN_STORE": place.server.address,
        "TONGBAN_STORE_USERNAME": USER,
        "TONGBAN_STORE_PASSWORD_FILE": str(wrong),
        "TONGBAN_STORE_TLS": "true",
        "TONGBAN_STORE_TLS_CA_FILE": str(place.authority.file),
        "TONGBAN_HTTP_PORT": str(port),
    }
    child = ChildProcess(
        ChildSpec("notify", [sys.executable, str(BIN / "tongban-notify")], log, env)
    )
    try:
        reason = ""
        serving_since = 0.0
        async with aiohttp.ClientSession() as http, asyncio.timeout(90):
            while not reason:
                assert child.alive, child.log_tail()
                await asyncio.sleep(0.1)
                try:
                    async with http.get(f"http://127.0.0.1:{port}/readyz") as reply:
                        serving_since = serving_since or time.monotonic()
                        reason = (await reply.json())["problems"].get("store", "")
                except aiohttp.ClientError:
                    continue
        assert "does not accept the user name or the password" in reason
        assert time.monotonic() - serving_since < 10
    finally:
        await child.stop(20)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    refused = [line for line in lines if line["event"] == "store_refused"]
    assert len(refused) == 1
    assert "TONGBAN_STORE_PASSWORD_FILE" in refused[0]["look_at"]
    assert "wrong-horse" not in log.read_text()


async def test_client_outlives_bad_certificates_of_the_store(place: Secured) -> None:
    """One client, which is never made anew: refused while the certificate is wrong, and served
    again afterwards."""
    store = Store(StoreAddress(place.server.address, place.client()), "secured", timeout_ms=4000)
    try:
        await store.ping()
        for issue, reason in (
            ({"expires_in": timedelta(days=-1)}, "the store's certificate has expired"),
            ({"hosts": ["store.elsewhere"]}, "certificate is for another host name"),
        ):
            await place.restart("bad", **issue)
            with pytest.raises(StoreUnavailableError, match=reason):
                await store.ping()
        await place.restart()
        async with asyncio.timeout(30):
            while True:
                try:
                    await store.ping()
                    break
                except StoreUnavailableError:
                    await asyncio.sleep(0.2)
        assert store.refusal() is None
    finally:
        store.close()


async def test_store_that_requires_a_client_certificate_serves_who_has_one(place: Secured) -> None:
    await place.restart(mutual=True)
    mine = {"certificate_file": place.mine.certificate_file, "key_file": place.mine.key_file}
    assert await place.said(place.client(**mine)) == ""
    assert await place.said(place.client()) != ""
