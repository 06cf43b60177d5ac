"""Run SecantusDB, a document store that speaks MongoDB's wire protocol, in its own process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tongban_common.store import Store, StoreUnavailableError
from tongban_common.store_address import StoreAddress, StoreSecurity
from tongban_devstack.embedded.security import Certificate
from tongban_devstack.embedded.server import EmbeddedServer, listening
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildSpec
from tongban_devstack.readiness import NotReadyError


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedStoreSecurity:
    """Options of an embedded store that speaks TLS and asks for a user.

    Args:
        client: how the readiness probe connects.
        certificate: of the store; None for no TLS.
        client_authority: signs the certificates that every client must show; None asks for none.
        authenticates: asks for a user name and a password. The users must exist: they are created
            while the store runs without this option.
    """

    client: StoreSecurity
    certificate: Certificate | None = None
    client_authority: Path | None = None
    authenticates: bool = False

    def arguments(self) -> list[str]:
        """Return the store's command-line options."""
        found = ["--auth"] if self.authenticates else []
        if self.certificate is not None:
            found += ["--tls-cert-file", str(self.certificate.certificate_file)]
            found += ["--tls-key-file", str(self.certificate.key_file)]
        if self.client_authority is not None:
            found += ["--tls-ca-file", str(self.client_authority), "--tls-require-client-cert"]
        return found


class EmbeddedStore(EmbeddedServer):
    """A store on the loopback interface; acknowledged writes survive SIGKILL and power cuts.

    It presents itself as the primary of a replica set of one, which drivers require for
    transactions. It is beta and under GPL-2, so it is never deployed.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, log: Path | None = None) -> None:
        super().__init__("store", data_dir, port or free_port(), log)
        self.security: EmbeddedStoreSecurity | None = None
        """TLS and users from the next start on."""

    @property
    def address(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def spec(self) -> ChildSpec:
        # Without --sync-on-commit the write before a SIGKILL was lost.
        listen = ["--host", "127.0.0.1", "--port", str(self.port)]
        keep = ["--storage-path", str(self.data_dir / "data"), "--sync-on-commit"]
        small = ["--cache-size", "256M", "--log-level", "WARNING"]
        secured = self.security.arguments() if self.security is not None else []
        argv = [sys.executable, "-m", "secantus", *listen, *keep, *small, *secured]
        return ChildSpec(self.name, argv, self.log)

    async def prepare(self) -> None:
        """Do nothing: the store is installed with this package."""

    async def probe(self) -> None:
        if not await listening(self.port):
            raise NotReadyError("nothing listens yet")
        client = self.security.client if self.security is not None else None
        store = Store(StoreAddress(self.address, client), "readiness", timeout_ms=4000)
        try:
            await store.ping()
        except StoreUnavailableError as error:
            raise NotReadyError(str(error)) from error
        finally:
            store.close()
