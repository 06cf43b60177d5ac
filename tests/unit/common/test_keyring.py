"""The key ring: what may stand in it, how it changes, and a process that follows its file."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tongban_common.envelope import (
    KeyDestroyedError,
    KeyMissingError,
    KeyRing,
    UnreadableEnvelopeError,
)
from tongban_common.keyring import Ring, RingError
from tongban_common.keyring.follow import KeyRingFile
from tongban_ops.operators.keyring_file import change, write

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OLD = Ring.parse(json.dumps({"active": "a", "keys": {"a": "A" * 43, "z": "B" * 43}}))


def test_new_key_is_distributed_before_it_seals() -> None:
    ring = OLD.rotated(now=NOW, after=MINUTE)
    (fresh,) = set(ring.keys) - set(OLD.keys)
    assert fresh == ring.newest == "k20260302-1"
    assert ring.active(NOW) == "a"
    assert ring.active(NOW + MINUTE) == fresh
    assert ring.retired_at("a", NOW) is None
    assert ring.retired_at("a", NOW + MINUTE) == NOW + MINUTE
    assert ring.retired_at(fresh, NOW + MINUTE) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_key_ring_file_changed_by_root_keeps_its_owner(tmp_path: Path) -> None:
    """Rotated by `sudo`, services would find a key ring that they may not read: at their next
    start, when nobody thinks of it any more."""
    path = tmp_path / "ring.json"
    write(path, OLD)
    os.chown(path, 4711, 4712)
    change(path, lambda ring: ring.rotated(now=NOW, after=MINUTE))
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4711, 4712, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ring.json"
    write(path, OLD)
    os.chown(path, 4711, 4712)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(PermissionError, match="belongs to another user") as refused:
        change(path, lambda ring: ring.rotated(now=NOW, after=MINUTE))
    assert refused.value.filename == str(path)
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"ring.json", ".ring.json.lock"}


def test_a_ring_comes_back_from_its_text() -> None:
    later = NOW + 2 * MINUTE
    ring = (
        OLD.rotated(now=NOW, after=MINUTE).without("a", now=later).rotated(now=later, after=MINUTE)
    )
    assert Ring.parse(ring.dump()) == ring
    assert set(ring.destroyed) == {"a"}
    assert "AAAA" not in repr(OLD), "no key in a log line"


def test_one_rotation_at_a_time_and_no_id_twice() -> None:
    ring = OLD.rotated(now=NOW, after=MINUTE)
    with pytest.raises(RingError, match="about to become active"):
        ring.rotated(now=NOW, after=MINUTE)
    later = NOW + 2 * MINUTE
    with pytest.raises(RingError, match="used before"):
        ring.without("a", now=later).rotated(now=later, after=MINUTE, kid="a")


def test_a_key_in_use_is_not_destroyed() -> None:
    ring = OLD.rotated(now=NOW, after=MINUTE)
    for kid in ("a", ring.newest):
        with pytest.raises(RingError, match="in use, or will be"):
            ring.without(kid, now=NOW)
    with pytest.raises(RingError, match="no key"):
        ring.without("x", now=NOW)
    assert set(ring.without("z", now=NOW).destroyed) == {"z"}, "it never sealed here"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"keys": []}', '{"keys": {}}', '{"keys": {"a": 7}}',
        '{"active": "b", "keys": {"a": "AAAA"}}', '{"active": "a", "keys": {"a": "AAAA"}}',
        json.dumps({"keys": {"a": "A" * 43}}),
        json.dumps({"keys": {"a": {"key": "A" * 43, "active_from": "2026-03-02T09:00:00"}}}),
    ],
)  # fmt: skip
def test_malformed_ring_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(RingError) as caught:
        Ring.parse(text)
    assert "AAAA" not in str(caught.value)


def test_destroyed_key_is_distinguished_from_a_missing_or_altered_one() -> None:
    now = datetime.now(UTC)
    keys = KeyRing.of(OLD)
    sealed = keys.seal("r-1", {"applicant": "王小明"})
    bare = sealed.model_copy(update={"parts": {}})
    rotated = OLD.rotated(now=now - MINUTE, after=MINUTE - timedelta(seconds=5))
    keys.adopt(rotated)
    assert keys.open("r-1", sealed, "applicant") == "王小明"
    assert keys.seal("r-2", {}).kid == rotated.newest
    box = keys.seal_bytes("r-1", sealed, "d-1", b"pdf")
    keys.adopt(rotated.without(sealed.kid, now=now))
    assert keys.destroyed(sealed)
    for read in (
        lambda: keys.open("r-1", sealed, "applicant"),
        lambda: keys.open("r-1", bare, "result"),
        lambda: keys.add("r-1", bare, {"result": 1}),
        lambda: keys.open_bytes("r-1", sealed, "d-1", box),
    ):
        with pytest.raises(KeyDestroyedError):
            read()
    unknown = sealed.model_copy(update={"kid": "later"})
    assert not keys.destroyed(unknown)
    with pytest.raises(KeyMissingError):
        keys.open("r-1", unknown, "applicant")
    with pytest.raises(UnreadableEnvelopeError) as altered:
        KeyRing.of(OLD).open("r-2", sealed, "applicant")
    assert type(altered.value) is UnreadableEnvelopeError


def test_a_file_is_for_its_owner_and_changed_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    write(path, OLD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    errors: list[str] = []

    def rotate(number: int) -> None:
        after = timedelta(seconds=-1)  # over at once, so that each may follow the last
        try:
            change(path, lambda ring: ring.rotated(now=NOW, after=after, kid=f"k{number}"))
        except RingError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=rotate, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(Ring.parse(path.read_text()).keys) == {"a", "z", *(f"k{n}" for n in range(8))}
    with pytest.raises(RingError):
        change(path, lambda ring: ring.without("x", now=NOW))
    assert len(Ring.parse(path.read_text()).keys) == 10


async def test_process_reloads_a_changed_file_and_keeps_its_keys_when_the_file_is_malformed(
    tmp_path: Path,
) -> None:
    # As Kubernetes mounts a Secret: a link that is swapped.
    mounted = tmp_path / "ring.json"

    def publish(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        link = tmp_path / "next"
        link.symlink_to(tmp_path / name)
        link.replace(mounted)

    async def until_seals_with(kid: str) -> None:
        async with asyncio.timeout(10):
            while keys.seal("r-1", {}).kid != kid:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)

    publish("one", OLD.dump())
    followed = KeyRingFile(f"@{mounted}", every_s=0.01)
    keys = followed.keys
    running = asyncio.create_task(followed.run())
    past = datetime.now(UTC) - 2 * MINUTE
    second = OLD.rotated(now=past, after=timedelta(0), kid="second")
    publish("two", second.dump())
    await until_seals_with("second")
    publish("three", "{broken")
    (tmp_path / "three").unlink()  # and then it is gone altogether
    third = second.rotated(now=past + MINUTE, after=timedelta(0), kid="third")
    assert keys.seal("r-1", {}).kid == "second"
    publish("four", third.dump())
    await until_seals_with("third")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_file_missing_for_a_moment_is_reported_until_it_is_back(tmp_path: Path) -> None:
    path, away = tmp_path / "ring.json", tmp_path / "away.json"
    write(path, OLD)
    running = asyncio.create_task(KeyRingFile(f"@{path}", every_s=0.001).run())

    async def until_told(unusable: bool) -> None:
        deadline = time.monotonic() + 20
        while REGISTRY.get_sample_value("tongban_keyring_unusable") != unusable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)

    path.rename(away)
    await until_told(True)
    away.rename(path)  # the same file, not a changed one
    await until_told(False)
    running.cancel()
    await asyncio.wait([running])


def test_no_ring_to_begin_with_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="ring"):
        KeyRingFile(f"@{tmp_path}/ring.json")
    with pytest.raises(RingError):
        KeyRingFile("{}")
