"""The bounded memory of intake."""

from __future__ import annotations

from tongban_intake.lru_cache import LruCache


def test_full_cache_drops_the_least_recently_used_entry() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert len(cache) == 2


def test_entry_expires_by_its_age_since_it_was_written() -> None:
    now = [0.0]
    cache: LruCache[str, int] = LruCache(9, seconds=10, monotonic=lambda: now[0])
    cache.put("a", 1)
    now[0] = 6.0
    assert cache.get("a") == 1
    cache.put("b", 2)
    now[0] = 10.0
    assert [cache.get(key) for key in "ab"] == [None, 2]
    now[0] = 16.0
    cache.put("c", 3)
    assert len(cache) == 1
