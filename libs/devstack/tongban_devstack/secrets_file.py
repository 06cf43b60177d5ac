"""The secrets of one stack: drawn once a data directory, so that a second start goes on."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

_NAMES = ("ID_SECRET", "TOKEN_SECRET", "GATEWAY_SECRET")


def stack_secrets(directory: Path) -> dict[str, str]:
    """The `TONGBAN_*` variables; kept in `secrets.json`, readable by its owner alone."""
    path = directory / "secrets.json"
    if not path.exists():
        ring = {"active": "k1", "keys": {"k1": secrets.token_urlsafe(32)}}
        drawn = {f"TONGBAN_{name}": secrets.token_urlsafe(32) for name in _NAMES}
        path.touch(mode=0o600)
        path.write_text(json.dumps({**drawn, "TONGBAN_KEYRING": json.dumps(ring)}))
    found: dict[str, str] = json.loads(path.read_text())
    return found
