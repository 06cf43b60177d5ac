"""Run SecantusDB, a document store that speaks MongoDB's wire protocol, in its own process."""

from __future__ import annotations

import sys
from pathlib import Path

from tongban_common.store import Store, StoreUnavailableError
from tongban_devstack.embedded.server import EmbeddedServer, listening
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildSpec
from tongban_devstack.readiness import NotReadyError


class EmbeddedStore(EmbeddedServer):
    """A store on the loopback interface; acknowledged writes survive SIGKILL and power cuts.

    It presents itself as the primary of a replica set of one, which drivers require for
    transactions. It is beta and under GPL-2, so it is never deployed.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, log: Path | None = None) -> None:
        super().__init__("store", data_dir, port or free_port(), log)

    @property
    def address(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def spec(self) -> ChildSpec:
        # Without --sync-on-commit the write before a SIGKILL was lost.
        listen = ["--host", "127.0.0.1", "--port", str(self.port)]
        keep = ["--storage-path", str(self.data_dir / "data"), "--sync-on-commit"]
        small = ["--cache-size", "256M", "--log-level", "WARNING"]
        argv = [sys.executable, "-m", "secantus", *listen, *keep, *small]
        return ChildSpec(self.name, argv, self.log)

    async def prepare(self) -> None:
        """Do nothing: the store is installed with this package."""

    async def probe(self) -> None:
        if not await listening(self.port):
            raise NotReadyError("nothing listens yet")
        store = Store(self.address, "readiness", timeout_ms=4000)
        try:
            await store.ping()
        except StoreUnavailableError as error:
            raise NotReadyError(str(error)) from error
        finally:
            store.close()
