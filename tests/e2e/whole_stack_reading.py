"""Everything that a stack has written, for a search through it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import rocksdict
from motor.motor_asyncio import AsyncIOMotorClient

from tests.e2e.plain_reading import all_records
from tongban_devstack.stack import Stack

_OUTSIDE = frozenset({"gateways", "devices"})
"""Provinces, printers and message providers: they have to know whom it is about."""
_SERVERS = frozenset({"kafka", "store"})
"""Read through their protocols: their files are compressed."""


async def topics(stack: Stack) -> dict[str, bytes]:
    """Key, value and headers of every record on every topic, also the broker's and Faust's own."""
    found = await all_records(stack.kafka)
    return {
        name: b"\n".join(b"\n".join(_parts(record)) for record in records)
        for name, records in found.items()
    }


def _parts(record: Any) -> Iterator[bytes]:
    yield record.key or b""
    yield record.value or b""
    for name, value in record.headers:
        yield name.encode() + b"=" + (value or b"")


async def collections(stack: Stack) -> dict[str, bytes]:
    """Every document of every collection, as BSON."""
    client: Any = AsyncIOMotorClient(stack.store)
    found = {}
    try:
        for name in set(await client.list_database_names()) - {"admin", "local", "config"}:
            for collection in await client[name].list_collection_names():
                documents = await client[name][collection].find({}).to_list(None)
                found[f"{name}.{collection}"] = b"\n".join(map(bson.encode, documents))
    finally:
        client.close()
    return found


def files(stack: Stack) -> dict[str, bytes]:
    """Every log, and whatever else the services keep on disk; what they have in passing too, where
    TMPDIR lies there (`temporary_directory`)."""
    found = {}
    for path in stack.data.rglob("*"):
        if path.relative_to(stack.data).parts[0] in _OUTSIDE | _SERVERS or not path.is_file():
            continue
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            found[str(path.relative_to(stack.data))] = path.read_bytes()
    return found


def temporary_directory(data: Path) -> Path:
    """A TMPDIR that `files` reads: what a killed process leaves there stays there."""
    made = data / "tmp"
    made.mkdir(parents=True)
    return made


def tables(stack: Stack) -> dict[str, bytes]:
    """Keys and values of the router's tables, through RocksDB: its files may be compressed."""
    found = {}
    for original in stack.data.glob("router-*/**/*.db"):
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "table.db"
            shutil.copytree(original, copy, ignore=lambda *_: ["LOCK"])
            table = rocksdict.Rdict(
                str(copy),
                rocksdict.Options(raw_mode=True),
                access_type=rocksdict.AccessType.read_only(),
            )
            items = list(table.items())
            table.close()
            place = f"{original.relative_to(stack.data)} as a table"
            found[place] = b"\n".join(part for item in items for part in item)
    return found


async def everything(stack: Stack) -> dict[str, bytes]:
    """All of the above, by where it stands."""
    return (
        await topics(stack)
        | await collections(stack)
        | await asyncio.to_thread(files, stack)
        | await asyncio.to_thread(tables, stack)
    )
