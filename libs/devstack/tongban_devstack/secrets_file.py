"""The secrets of one stack: drawn once a data directory, so that a second start goes on."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from tongban_devstack.files import write_atomically

_NAMES = ("ID_SECRET", "TOKEN_SECRET", "GATEWAY_SECRET")


def stack_secrets(directory: Path) -> dict[str, str]:
    """The `TONGBAN_*` variables, 32 random bytes each; kept in `secrets.json`, for its owner alone.

    The key ring is the JSON document that `KeyRing.parse` reads.
    """
    path = directory / "secrets.json"
    if not path.exists():
        ring = {"active": "k1", "keys": {"k1": secrets.token_urlsafe(32)}}
        drawn = {f"TONGBAN_{name}": secrets.token_urlsafe(32) for name in _NAMES}
        drawn["TONGBAN_KEYRING"] = json.dumps(ring)
        write_atomically(path, json.dumps(drawn, indent=2).encode(), mode=0o600)
    found: dict[str, str] = json.loads(path.read_text())
    return found
