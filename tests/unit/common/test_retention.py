"""How long guards, dead letters, replays and repeats live: one derived table."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tongban_common import topics
from tongban_common.catalogue.models import TimeLimits
from tongban_common.topics import GUARDS_KEPT, LONGEST_DEADLINE, TOPICS
from tongban_ops.catalogue.loader import load
from tongban_router.domain.state import Rules

CATALOGUE = Path(__file__).parents[3] / "catalogue"


def retention(name: str) -> timedelta:
    kept = TOPICS[name].retention_ms
    assert kept is not None
    return timedelta(milliseconds=kept)


def test_guards_outlive_every_replayed_dead_letter() -> None:
    assert topics.REPLAY_GROUPS
    for group in topics.REPLAY_GROUPS:
        longest = retention(topics.dead_letter(group)) + retention(topics.replay(group))
        assert longest < GUARDS_KEPT


def test_guards_outlive_every_history_that_the_router_repeats() -> None:
    assert Rules().keep_finished <= topics.FINISHED_KEPT
    repeated = LONGEST_DEADLINE + topics.FINISHED_KEPT
    for name in (topics.REQUESTS_STATUS, topics.REQUESTS_COMPLETED, topics.PRINT_ORDERS):
        assert repeated + retention(name) < GUARDS_KEPT


def test_keys_are_expected_for_as_long_as_anything_can_bring_a_request_back() -> None:
    ended = LONGEST_DEADLINE + topics.FINISHED_KEPT + retention(topics.REQUESTS_STATUS)
    for group in topics.REPLAY_GROUPS:
        replayed = retention(topics.dead_letter(group)) + retention(topics.replay(group))
        assert max(ended, replayed) < topics.KEYS_REPEATED
    assert topics.KEYS_REPEATED <= GUARDS_KEPT  # copies are guarded for as long as keys repeat


def test_no_item_of_the_catalogue_is_open_longer_than_guards_assume() -> None:
    allowed = {item.code: item.limits.legal_working_days * 3 for item in load(CATALOGUE)}
    assert max(allowed.values()) <= LONGEST_DEADLINE.days


def test_time_allowed_is_bounded_whatever_an_item_says() -> None:
    assert TimeLimits(legal_working_days=0, promised_working_days=0).time_allowed.days == 7
    assert TimeLimits(legal_working_days=20, promised_working_days=1).time_allowed.days == 60
    huge = TimeLimits(legal_working_days=10**12, promised_working_days=1)
    assert huge.time_allowed == LONGEST_DEADLINE
