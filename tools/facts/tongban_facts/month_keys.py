"""Keep the keys of the pseudonyms: one for each month of submissions, destroyed after the month.

A pseudonym is HMAC-SHA-256 (RFC 2104) of the request id under the key of the month in which the
request was handed in. The key file is the only copy of the keys: once a month's key is destroyed,
nobody can tell which request a pseudonym of that month belonged to (ADR 0031).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from datetime import date, timedelta
from pathlib import Path

from tongban_facts.atomic_files import replace_file, waiting_lock
from tongban_facts.errors import ExportStateError

_KEY_BYTES = 32
_PSEUDONYM_BYTES = 12
"""96 bits: two of a month's hundred million requests collide with a chance of 1 in 10^13."""


def month_of(day: date) -> str:
    """Return the month of a date: `2026-03`."""
    return f"{day:%Y-%m}"


def end_of(month: str) -> date:
    """Return the first day after a month."""
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1)


class MonthKeys:
    """The keys of a key file.

    Raises:
        ExportStateError: the file cannot be read or is no key file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys: dict[str, bytes] = {}
        self._destroyed: set[str] = set()
        if file.exists():
            self._read()

    def _read(self) -> None:
        try:
            found = json.loads(self._file.read_bytes())
            self._keys = {
                month: base64.b64decode(key, validate=True) for month, key in found["keys"].items()
            }
            self._destroyed = set(found["destroyed"])
        except OSError as error:
            raise ExportStateError(f"{self._file}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise ExportStateError(f"{self._file}: is no key file of `tongban export`") from None

    @property
    def months(self) -> list[str]:
        """Return the months that have a key, the newest first."""
        return sorted(self._keys, reverse=True)

    def destroyed(self, month: str) -> bool:
        """Return True if the month's key is gone for good."""
        return month in self._destroyed

    def ensure(self, months: set[str]) -> None:
        """Draw the keys that these months lack, and flush them before anyone uses them.

        A month whose key was destroyed gets no other one: its requests would appear twice.
        """
        if not months - self._keys.keys() - self._destroyed:
            return
        with waiting_lock(self._file):
            if self._file.exists():
                self._read()
            new = sorted(months - self._keys.keys() - self._destroyed)
            self._keys.update({month: secrets.token_bytes(_KEY_BYTES) for month in new})
            self._write()

    def destroy_ended(self, today: date, grace: timedelta) -> list[str]:
        """Destroy the keys of months that ended more than `grace` ago; return these months."""
        ended = sorted(month for month in self._keys if end_of(month) + grace <= today)
        if ended:
            for month in ended:
                del self._keys[month]
            self._destroyed.update(ended)
            self._write()
        return ended

    def pseudonyms(self, month: str, requests: list[str]) -> list[str]:
        """Return the pseudonyms of request ids of that month, 16 characters each."""
        key = self._keys[month]
        return [
            base64.urlsafe_b64encode(
                hmac.digest(key, each.encode(), "sha256")[:_PSEUDONYM_BYTES]
            ).decode()
            for each in requests
        ]

    def _write(self) -> None:
        body = {
            "keys": {
                month: base64.b64encode(key).decode() for month, key in sorted(self._keys.items())
            },
            "destroyed": sorted(self._destroyed),
        }
        replace_file(self._file, json.dumps(body, indent=1).encode() + b"\n")
