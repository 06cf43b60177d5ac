"""Draw the secrets of a stack once for each data directory, so that a second start continues."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tongban_common.keyring import Ring, WrappingKey
from tongban_devstack.files import write_atomically
from tongban_ops.operators.keyring_file import write

_NAMES = ("ID_SECRET", "TOKEN_SECRET", "GATEWAY_SECRET", "PSEUDONYM_SECRET", "SMS_KEY")
_KEYRING = "TONGBAN_KEYRING"


def stack_secrets(directory: Path) -> dict[str, str]:
    """Return the `TONGBAN_*` secrets, 32 random bytes each; stored in `secrets.json`, mode 0600.

    The key ring is in `keyring.json` beside it; `tongban keys` may change it at run time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    ring = directory / "keyring.json"
    if not ring.exists():
        # An older data directory has its ring among the secrets.
        write(ring, Ring.parse(kept[_KEYRING]) if _KEYRING in kept else _first_ring())
    drawn = {f"TONGBAN_{name}": secrets.token_urlsafe(32) for name in _NAMES}
    found = {**drawn, **kept, _KEYRING: f"@{ring.absolute()}"}
    if found != kept:
        write_atomically(path, json.dumps(found, indent=2).encode(), mode=0o600)
    return found


def _first_ring() -> Ring:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    return Ring({"k1": WrappingKey(secrets.token_bytes(32), began)})
