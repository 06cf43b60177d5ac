"""A store whose password was changed is waited for, as one that is away."""

from __future__ import annotations

from pathlib import Path

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import SecretStr

from tongban_common.store import Store, StoreUnavailableError, store_errors
from tongban_common.store_address import StoreSecurity
from tongban_devstack.embedded import EmbeddedStore
from tongban_devstack.embedded.store import EmbeddedStoreSecurity


async def test_store_with_a_changed_password_is_unavailable(tmp_path: Path) -> None:
    server = EmbeddedStore(tmp_path / "store")
    async with server:
        admin: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(server.address)
        await admin.admin.command("createUser", "tongban", pwd="before", roles=["root"])
        admin.close()
        await server.stop()
        server.security = EmbeddedStoreSecurity(
            client=StoreSecurity(username="tongban", password=SecretStr("before")),
            authenticates=True,
        )
        await server.start()
        host = server.address.removeprefix("mongodb://")
        for password, expected in (("before", None), ("after", StoreUnavailableError)):
            opened = Store(f"mongodb://tongban:{password}@{host}/?authSource=admin", "test")
            try:
                with store_errors():
                    await opened.collection("orders").insert_one({"_id": password})
            except StoreUnavailableError as error:
                assert expected is StoreUnavailableError, error
                assert password not in str(error)
            else:
                assert expected is None
            finally:
                opened.close()
        anonymous = Store(server.address, "test")
        with pytest.raises(StoreUnavailableError), store_errors():
            await anonymous.collection("orders").insert_one({"_id": "nobody"})
        anonymous.close()
