"""AsyncAPI's own parser accepts the published document, and would not accept a broken one."""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.published_events_kit import PUBLISHED, published

TOOL = Path(__file__).parents[3] / "tools" / "asyncapi"
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
    pytest.mark.skipif(
        not (TOOL / "node_modules" / "@asyncapi" / "parser").is_dir(),
        reason="the parser is not installed: make tools/asyncapi/node_modules",
    ),
]
BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no-such-channel": lambda document: document["operations"]["intake.send.requests.submitted"][
        "channel"
    ].update({"$ref": "#/channels/nowhere"}),
    "no-such-type": lambda document: document["components"]["schemas"]["TimerDue"]["properties"][
        "due"
    ].update(type="moment"),
    "binding-of-another-kind": lambda document: document["channels"]["router.timers"]["bindings"][
        "kafka"
    ].update(partitions="twelve"),
}


def parse(*files: Path) -> subprocess.CompletedProcess[str]:
    """Return what the parser says about documents."""
    return subprocess.run(
        ["node", TOOL / "check.mjs", *files], capture_output=True, text=True, check=False
    )


def test_published_document_is_accepted_by_asyncapis_parser() -> None:
    said = parse(PUBLISHED)
    assert said.returncode == 0, said.stdout + said.stderr
    channels = len(published()["channels"])
    assert f"AsyncAPI 3.0.0, {channels} channels" in said.stdout


def test_broken_document_is_refused_by_asyncapis_parser(tmp_path: Path) -> None:
    files = []
    for name, change in BROKEN.items():
        broken = copy.deepcopy(published())
        change(broken)
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.dump(broken, Dumper=yaml.CSafeDumper), "utf-8")
    said = parse(*files)
    assert said.returncode == 1
    refused = [line for line in said.stdout.splitlines() if line.startswith("refused: ")]
    assert refused == [f"refused: {file}" for file in files], said.stdout
