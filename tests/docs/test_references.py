"""Everything that a page, a docstring or a comment refers to exists.

Checked are links with their anchors, paths of files, ADRs by number, dotted names of the project's
packages, and issues, which have to name their project. Nothing is imported, nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.references_kit import ROOT, Text, dangling, modules, pages, texts


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_references_all_files_lead_somewhere() -> None:
    complaints = [
        f"{_name(file)}:{each}"
        for file in (*pages(), *modules())
        for text in texts(file)
        for each in dangling(text)
    ]
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize(
    "words",
    [
        "see ADR" + " 9999",
        "see ADR 0001 and" + " 9999",
        "as [here](nowhere.md) says",
        "as [here](architecture.md#no-such-heading) says",
        "`services/intake/no_such_module.py`",
        "docs/" + "no-such-page.md",
        "`tongban_intake.no_such_module`",
        "`tongban_common.topics.NO_SUCH_NAME`",
        "a fault of Faust (" + "#527)",
        "as DESIGN" + " says",
    ],
)
def test_reference_dangling_is_found(words: str) -> None:
    assert list(dangling(Text(ROOT / "docs" / "page.md", 1, words)))


@pytest.mark.parametrize(
    "words",
    [
        "see ADR 0001",
        "as [here](architecture.md#import-rules) says",
        "`services/intake/tongban_intake/main.py`, or `submission/accept.py`",
        "`tongban_intake.submission.accept.Acceptor.accept`",
        "`tongban_common.topics.PROVINCES`",
        "a fault of Faust (faust-streaming #527)",
        "in `out/demo/report.json`",
    ],
)
def test_reference_existing_is_not_complained_about(words: str) -> None:
    assert not list(dangling(Text(ROOT / "docs" / "page.md", 1, words)))


def test_site_navigation_names_every_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    # The generated list of topics leads to a page of each.
    listed = (ROOT / "docs" / "events" / "topics" / "index.md").read_text(encoding="utf-8")
    navigation += listed.replace("](", "](events/topics/")
    docs = ROOT / "docs"
    paths = [each.relative_to(docs).as_posix() for each in pages() if docs in each.parents]
    assert not [path for path in paths if path not in navigation]
