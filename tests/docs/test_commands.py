"""Every command that a page shows can be run: its program knows the sub-command and the options."""

from __future__ import annotations

import pytest

from tests.docs.commands_kit import Shown, complaint, shown
from tests.docs.references_kit import ROOT, pages

PAGE = ROOT / "docs" / "page.md"


def test_commands_on_all_pages_are_accepted_by_their_parsers() -> None:
    commands = [command for page in pages() for command in shown(page)]
    assert len(commands) > 150
    complaints = [
        f"{command.page.relative_to(ROOT)}:{command.line}: {command.words}\n    {found}"
        for command in commands
        if (found := complaint(command))
    ]
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize(
    "words",
    [
        "tongban no-such-command",
        "tongban dlt no-such-command",
        "tongban dlt",
        "tongban dlt list --no-such-option x",
        "tongban trace",  # the request is missing
        "tongban restore everything",
        "make no-such-target",
        "python -m tools.no_such_module",
        "docker compose --profile no-such-profile up",
        "docker compose logs no-such-service",
        "docker compose run --rm tongban topics no-such-command",
        "kubectl apply -k deploy/k8s/overlays/no-such-overlay",
    ],
)
def test_command_that_does_not_exist_is_found(words: str) -> None:
    assert complaint(Shown(PAGE, 1, words, is_complete=True))


@pytest.mark.parametrize(
    "words",
    [
        "tongban dlt replay --group connectors-510000 --cause refused --since 1h --dry-run",
        "tongban kiosk enrol k-1 --branch b-1 --generate   # makes the pair here",
        "make bench",
        "python -m tools.images notify",
        "docker compose --profile outside up -d",
        "docker compose run --rm tongban topics list",
        "kubectl apply -k deploy/k8s/overlays/laptop",
    ],
)
def test_command_that_exists_is_not_complained_about(words: str) -> None:
    assert complaint(Shown(PAGE, 1, words, is_complete=True)) is None


def test_commands_in_blocks_and_in_sentences_are_found() -> None:
    text = (
        "Say `tongban restore`.\n\n    TONGBAN_KAFKA=h:1 tongban dlt \\\n      list\n\n"
        "```sh\nmake demo\n```\n"
    )
    found = [(each.words.split(), each.is_complete) for each in shown(PAGE, text)]
    assert found == [
        (["tongban", "dlt", "list"], True),
        (["make", "demo"], True),
        (["tongban", "restore"], False),
    ]
