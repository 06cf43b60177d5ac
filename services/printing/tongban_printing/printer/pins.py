"""Pin the certificates of printers that no authority has signed.

Most printers come with a certificate of their own making, for a name that nobody uses. A pin is the
SHA-256 digest of exactly that certificate; authority, host name and dates do not count then.
"""

from __future__ import annotations

from pathlib import Path

import aiohttp
import structlog

from tongban_common.keyring.follow import Mark, mark_of
from tongban_printing.errors import PrintingError

log = structlog.get_logger()
_DIGEST_BYTES = 32


class PinsError(PrintingError, ValueError):
    """Raised for a file of pins that cannot be used; the text says which line."""


def read_pins(file: Path) -> dict[str, bytes]:
    """Return the digest of each kiosk's printer.

    A line is `KIOSK_ID SHA256`, the digest in hexadecimal digits with or without colons, as
    `openssl x509 -noout -fingerprint -sha256` prints it. Lines that begin with # are comments.

    Raises:
        PinsError: the file cannot be read, or a line is none of these.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise PinsError(f"the file cannot be read: {type(error).__name__}") from None
    pins: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            kiosk_id, digest = words
            pin = bytes.fromhex(digest.replace(":", ""))
        except ValueError:
            raise PinsError(f"line {number} is not KIOSK_ID SHA256") from None
        if len(pin) != _DIGEST_BYTES:
            raise PinsError(f"line {number}: a SHA-256 digest has {2 * _DIGEST_BYTES} digits")
        if kiosk_id in pins:
            raise PinsError(f"line {number}: a second pin of this kiosk")
        pins[kiosk_id] = pin
    return pins


class PrinterPins:
    """Keeps the pins equal to their file: a printer is exchanged while the others print on.

    A file that has become invalid changes nothing, and is logged once.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._mark: Mark | None = None
        self._pins: dict[str, bytes] = {}

    def of(self, kiosk_id: str) -> aiohttp.Fingerprint | None:
        """Return the pin of a kiosk's printer; None if it has none."""
        self._follow()
        pin = self._pins.get(kiosk_id)
        return None if pin is None else aiohttp.Fingerprint(pin)

    def _follow(self) -> None:
        if self._file is None:
            return
        try:
            mark = mark_of(self._file)
        except OSError:
            return  # between two versions of a mounted file
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._pins = read_pins(self._file)
        except PinsError as error:
            log.error("printer_pins_unusable", error=str(error))
