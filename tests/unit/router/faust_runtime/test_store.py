"""A local database that may have missed deletions, or is ahead of its changelog, is not trusted."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from tongban_common import topics
from tongban_kafka import uptime
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.store import (
    LONGEST_ABSENCE_S,
    CheckedStore,
    is_too_old,
    marker_of,
)
from tongban_router.settings import RouterSettings

CHANGELOG = TP(topics.ROUTER_CHANGELOG, 0)


def opened(directory: Path) -> tuple[Router, CheckedStore]:
    router = Router(RouterSettings(data=directory))
    store = router.recovery._table.data
    assert isinstance(store, CheckedStore)
    return router, store


def written(directory: Path) -> Path:
    """Create a database with one request, and return its path."""
    _, store = opened(directory)
    database: Any = store._db_for_partition(0)
    database.put(b"r-1", b"{}")
    store.set_persisted_offset(CHANGELOG, 41)
    database.close()
    store._dbs.clear()
    return store.partition_path(0)


def test_a_database_in_use_lately_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert not is_too_old(path, time.time())
    _, store = opened(tmp_path)
    assert store.persisted_offset(CHANGELOG) == 41
    assert not store.distrust({CHANGELOG: 42})
    assert not is_too_old(path, time.time())


def test_a_database_that_was_away_for_long_is_thrown_away(tmp_path: Path) -> None:
    path = written(tmp_path)
    old = time.time() - LONGEST_ABSENCE_S - 1
    os.utime(marker_of(path), (old, old))
    _, store = opened(tmp_path)
    database: Any = store._db_for_partition(0)
    assert database.get(b"r-1") is None
    assert store.persisted_offset(CHANGELOG) is None


def test_opening_alone_makes_a_database_no_younger(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = time.time() - 1000
    os.utime(marker_of(path), (before, before))
    _, store = opened(tmp_path)
    store._db_for_partition(0)
    assert abs(marker_of(path).stat().st_mtime - before) < 1
    store.mark_in_use()
    assert marker_of(path).stat().st_mtime > before + 900


def test_a_disk_copied_without_its_times_is_as_old_as_before(tmp_path: Path) -> None:
    path = written(tmp_path)
    marker_of(path).write_text(str(time.time() - LONGEST_ABSENCE_S - 1))
    assert is_too_old(path, time.time())


def test_a_database_held_open_through_a_long_freeze_is_thrown_away(tmp_path: Path) -> None:
    path = written(tmp_path)
    _, store = opened(tmp_path)
    assert store.persisted_offset(CHANGELOG) == 41
    old = time.time() - LONGEST_ABSENCE_S - 1
    os.utime(marker_of(path), (old, old))
    assert store.distrust({CHANGELOG: 42})  # the process ends, before it recovers
    store._dbs.pop(0).close()
    _, store = opened(tmp_path)
    assert store.persisted_offset(CHANGELOG) is None


async def test_a_router_whose_session_may_be_over_renews_no_marker(tmp_path: Path) -> None:
    path = written(tmp_path)
    router, store = opened(tmp_path)
    store._db_for_partition(0)
    before = time.time() - 1000
    os.utime(marker_of(path), (before, before))
    router.recovery.recovered = True
    router._fence.begin()  # and the coordinator has not been heard of since
    await router.recovery.mark_in_use()
    assert abs(marker_of(path).stat().st_mtime - before) < 1
    router._fence._lease.renew(uptime())
    await router.recovery.mark_in_use()
    assert marker_of(path).stat().st_mtime > before + 900


def test_a_marker_that_cannot_be_renewed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    _, store = opened(tmp_path)
    store._db_for_partition(0)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    store.mark_in_use()
    assert not is_too_old(path, time.time())


def test_a_database_of_unknown_age_is_too_old(tmp_path: Path) -> None:
    path = written(tmp_path)
    marker_of(path).unlink()
    assert is_too_old(path, time.time())
    marker_of(path).touch()
    assert is_too_old(path, time.time() - 7200), "written under a clock two hours ahead"


def test_a_database_ahead_of_its_changelog_is_recovered_from_the_start(tmp_path: Path) -> None:
    path = written(tmp_path)
    _, store = opened(tmp_path)
    assert store.persisted_offset(CHANGELOG) == 41
    assert store.distrust({CHANGELOG: 30})  # a power cut; the process ends
    store._dbs.pop(0).close()
    assert is_too_old(path, time.time())
    _, store = opened(tmp_path)
    database: Any = store._db_for_partition(0)
    assert database.get(b"r-1") is None


def test_the_changelog_keeps_tombstones_for_twice_as_long_as_a_disk_may_be_away() -> None:
    config = topics.TOPICS[topics.ROUTER_CHANGELOG].kafka_config()
    assert config["delete.retention.ms"] == str(30 * 24 * 3600 * 1000)
    assert float(config["delete.retention.ms"]) / 1000 == 2 * LONGEST_ABSENCE_S
