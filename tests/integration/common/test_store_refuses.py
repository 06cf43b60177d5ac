"""A store whose password was changed is waited for, as one that is away."""

from __future__ import annotations

from pathlib import Path

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from tongban_common.store import Store, StoreUnavailableError, store_errors
from tongban_devstack.embedded import EmbeddedStore
from tongban_devstack.processes import ChildSpec


class GuardedStore(EmbeddedStore):
    """The embedded store with authentication, once a user is there."""

    guarded = False

    @property
    def spec(self) -> ChildSpec:
        spec = super().spec
        argv = [*spec.argv, "--auth"] if self.guarded else spec.argv
        return ChildSpec(spec.name, argv, spec.log)


async def test_store_with_a_changed_password_is_unavailable(tmp_path: Path) -> None:
    server = GuardedStore(tmp_path / "store")
    async with server:
        admin: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(server.address)
        await admin.admin.command("createUser", "tongban", pwd="before", roles=["root"])
        admin.close()
        await server.stop()
        server.guarded = True
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
