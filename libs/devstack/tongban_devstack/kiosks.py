"""Enrol the stack's own kiosks, each with its own key, and get their tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tongban_intake.access.enrolment import KioskRecord, kiosk_register
from tongban_intake.access.enrolment.keyfiles import read_private, write_private
from tongban_intake.access.enrolment.kiosks import KioskKey, enrolled
from tongban_intake.access.token_client import Grant, TokenRefusedError, request_token
from tongban_kafka import KafkaAddress

TOKEN_SECONDS = 7 * 24 * 3600
"""Lifetime for development: the ready line's token stays valid for days."""
CROWDED_KIOSKS = {
    "TONGBAN_KIOSK_RATE": "1000",
    "TONGBAN_KIOSK_BURST": "2000",
    "TONGBAN_KIOSK_ACCEPTING": "512",
    "TONGBAN_KIOSK_STREAMS": "5000",
    "TONGBAN_READ_RATE": "10000",
    "TONGBAN_READ_BURST": "20000",
    "TONGBAN_STRANGER_RATE": "50",
    "TONGBAN_STRANGER_BURST": "200",
    "TONGBAN_TOKEN_RATE": "500",
    "TONGBAN_TOKEN_BURST": "2000",
}
"""Settings of intake for a development stack, where one kiosk or one address stands for a city's.
"""
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A kiosk and its branch."""

    kiosk_id: str
    branch_id: str
    zone: str = "cross_province"


class StackAddresses(Protocol):
    """Addresses that are known once the stack has started."""

    @property
    def cluster(self) -> KafkaAddress:
        """Return the broker's address."""

    @property
    def intake(self) -> str:
        """Return intake's base URL."""


class StackKiosks:
    """Keeps one key for each kiosk in `directory`, from run to run.

    The next run enrols a kiosk again that an operator revoked, because the ready line's token has
    to work.
    """

    def __init__(self, directory: Path, where: StackAddresses) -> None:
        self._directory = directory
        self._where = where
        self._records: dict[str, KioskRecord] = {}
        self._grants: dict[str, tuple[str, float]] = {}
        self._enrolling = asyncio.Lock()

    async def enrol(self, places: Iterable[Place]) -> None:
        """Enrol the kiosks that this run has not enrolled yet, in one transaction.

        Callers take turns, because each transaction fences the others.

        Raises:
            KafkaUnavailableError, EnrolmentError
        """
        async with self._enrolling:
            changes = {
                place.kiosk_id: partial(_enrolled, place, key=self._key(place.kiosk_id))
                for place in places
                if place.kiosk_id not in self._records
            }
            if changes:
                self._records |= await kiosk_register(self._where.cluster).change(changes)

    def record(self, kiosk_id: str) -> KioskRecord:
        """Return the record of a kiosk that this run enrolled; KeyError for others."""
        return self._records[kiosk_id]

    async def token(self, kiosk_id: str) -> str:
        """Return a bearer token for an enrolled kiosk, cached for most of its lifetime.

        Raises:
            TokenRefusedError: intake refuses, or does not answer for a minute.
        """
        token, renew_at = self._grants.get(kiosk_id, ("", 0.0))
        if time.monotonic() >= renew_at:
            grant = await self._trade(kiosk_id)
            token, renew_at = grant.token, time.monotonic() + 0.8 * grant.expires_in
            self._grants[kiosk_id] = token, renew_at
        return token

    async def _trade(self, kiosk_id: str) -> Grant:
        """Request a token, also while intake is being killed: each attempt signs anew, so none is a
        repeat."""
        deadline = time.monotonic() + _PATIENCE_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                try:
                    return await request_token(
                        session, self._where.intake, kiosk_id=kiosk_id, key=self._key(kiosk_id)
                    )
                except (aiohttp.ClientError, TimeoutError, TokenRefusedError) as error:
                    # Retry a refusal: a replica that has not read the enrolment yet refuses at
                    # first.
                    if time.monotonic() > deadline:
                        raise TokenRefusedError(0, f"no token for {kiosk_id}: {error}") from error
                await asyncio.sleep(0.2)

    def _key(self, kiosk_id: str) -> Ed25519PrivateKey:
        path = self._directory / f"{kiosk_id}.pem"
        if not path.exists():
            write_private(path, Ed25519PrivateKey.generate())
        return read_private(path.read_text())


async def let_in(kafka: KafkaAddress, places: Iterable[Place]) -> None:
    """Enrol kiosks with throw-away keys, for tests and benchmarks that sign tokens themselves with
    the deployment's secret (`tongban_intake.access.tokens.issue`)."""

    def one(place: Place, _: KioskRecord | None) -> KioskRecord:
        return _enrolled(place, None, Ed25519PrivateKey.generate())

    await kiosk_register(kafka).change({place.kiosk_id: partial(one, place) for place in places})


def _enrolled(place: Place, known: KioskRecord | None, key: Ed25519PrivateKey) -> KioskRecord:
    now = datetime.now(UTC).replace(microsecond=0)
    return enrolled(
        known,
        kiosk_id=place.kiosk_id,
        branch_id=place.branch_id,
        zone=place.zone,
        key=KioskKey.of(key.public_key(), added_at=now),
        replace=False,
        now=now,
    )
