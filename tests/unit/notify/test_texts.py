"""A file of texts is read whole or refused with every problem, and texts know their length."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from tongban_notify.domain.texts import (
    LONGEST,
    Audience,
    MessageTexts,
    TextEvent,
    TextsError,
    sms_parts,
)

OURS = resources.files("tongban_notify.domain").joinpath("texts.toml").read_text()


def load(directory: Path, text: str) -> MessageTexts:
    file = directory / "texts.toml"
    file.write_text(text)
    return MessageTexts.load(file)


def changed(event: TextEvent, to: Audience, text: str) -> str:
    """Return our file with another text for one event and audience."""
    pattern = rf"(\[{event}\].*?^{to} = )[^\n]*"
    found, count = re.subn(pattern, lambda m: f'{m[1]}"{text}"', OURS, flags=re.S | re.M)
    assert count == 1
    return found


def test_file_of_ours_is_read_from_elsewhere_as_well(tmp_path: Path) -> None:
    texts, other = MessageTexts.load(), load(tmp_path, OURS)
    assert all(texts[event, to] == other[event, to] for event in TextEvent for to in Audience)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("【通办】您好", "must have {item} once"),
        ("【通办】{item}{item}", "must have {item} once"),
        ("您申请的{item}已办结", "must begin with a signature"),
        ("【通办】{item}{phone}", "has {phone}; fields are {item}, {name}, {reason}"),
        ("【通办】{item!r}", "has {item!r}"),
        ("【通办】{item:>40}", "has {item:>40}"),
        ("【通办】{item}{reason}{reason}", "may have {reason} once"),
        ("【通办】{item", "has a brace that belongs to no field"),
        ("【通办】{item}" + "长" * 101, "is 1 characters too long for 2 messages of 67"),
        ("", "is missing"),
    ],
)
def test_text_that_cannot_be_sent_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(TextsError, match=re.escape(f"rejected.person {problem}")):
        load(tmp_path, changed(TextEvent.REJECTED, Audience.PERSON, text))


def test_completion_has_no_reason(tmp_path: Path) -> None:
    text = "【通办】{item}{reason}"
    with pytest.raises(TextsError, match=r"completed_on_paper.company has \{reason\}"):
        load(tmp_path, changed(TextEvent.COMPLETED_ON_PAPER, Audience.COMPANY, text))


def test_all_problems_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    text = OURS.replace("[failed]", "[faild]").replace("company = ", "firm = ", 1)
    with pytest.raises(TextsError) as refused:
        load(tmp_path, text)
    for problem in (
        "[faild] is no event",
        "[failed] is missing",
        "completed_on_paper.firm is no audience",
        "completed_on_paper.company is missing",
    ):
        assert problem in str(refused.value)


@pytest.mark.parametrize("text", ["[", "a = 1\na = 2"])
def test_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TextsError, match="cannot be read"):
        load(tmp_path, text)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextsError, match="cannot be read"):
        MessageTexts.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("length", "parts"), [(1, 1), (70, 1), (71, 2), (LONGEST, 2), (135, 3), (201, 3), (202, 4)]
)
def test_text_of_a_length_takes_so_many_messages(length: int, parts: int) -> None:
    assert sms_parts("字" * length) == parts


def test_rare_character_counts_twice() -> None:
    assert sms_parts("𠀀" * 35) == 1
    assert sms_parts("𠀀" * 36) == 2
