"""Find free ports on the loopback interface, and keep them through a restart."""

from __future__ import annotations

import json
import random
import socket
import time
from pathlib import Path

from tongban_devstack.files import write_atomically

_FLOOR = 15_000
_PATIENCE_S = 3.0
_taken: set[int] = set()


def _ceiling() -> int:
    """Return the first port that the kernel may give to an outgoing connection.

    A server's port must lie below: otherwise, while the server is down, a client that keeps
    reconnecting could be given that very port, and the server could not come back.
    """
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768  # IANA's dynamic range begins at 49152; Linux begins here


def is_free(port: int) -> bool:
    """Return True if nothing listens at that port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that is free now and that this process has not returned before.

    Raises:
        RuntimeError: none was found in a thousand attempts.
    """
    ceiling = max(_ceiling(), _FLOOR + 1000)
    for _ in range(1000):
        port = random.randrange(_FLOOR, ceiling)
        if port not in _taken and is_free(port):
            _taken.add(port)
            return port
    raise RuntimeError(f"no free port found between {_FLOOR} and {ceiling}")


class PortRegistry:
    """Ports by name in a JSON file, so that addresses stay the same from run to run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def port(self, name: str) -> int:
        """Return the port of that name: the former one if it gets free within three seconds, else a
        new one.

        The wait is for a predecessor that was killed and whose sockets are still closing.
        """
        known = self._ports.get(name)
        deadline = time.monotonic() + _PATIENCE_S
        while known is not None and not is_free(known):
            if time.monotonic() > deadline:
                known = None
            else:
                time.sleep(0.05)
        if known is None:
            known = self._ports[name] = free_port()
            write_atomically(self._path, json.dumps(self._ports, indent=2).encode())
        return known
