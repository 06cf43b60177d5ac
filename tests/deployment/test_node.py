"""A real node runs the whole product, and replaces every pod under load without a loss.

It takes ten minutes, a Docker daemon with the images, root and 5 GiB, so it runs where
TONGBAN_TEST_NODE says so and is skipped elsewhere; `make cluster` does the same by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cluster.node import commands, requirements
from tools.cluster.node.layout import Layout
from tools.cluster.node.rolling import WORKLOADS

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    if not os.environ.get("TONGBAN_TEST_NODE"):
        pytest.skip("takes ten minutes: TONGBAN_TEST_NODE=1, or make cluster")
    made = Layout(tmp_path / "node")
    if lines := requirements.lacking(made.run):
        pytest.skip("; ".join(lines))
    try:
        yield made
    finally:
        assert commands.down(made) == 0


def test_rolling_restart_on_a_real_node_loses_and_doubles_nothing(layout: Layout) -> None:
    assert commands.up(layout) == 0
    assert commands.restart(layout, rate=0.5, calm=20) == 0
    figures = json.loads((layout.run / "figures.json").read_text())
    outcome = figures["outcome"]
    assert outcome["accepted"] == outcome["completed"] >= 40
    assert (outcome["lost"], outcome["doubled"], outcome["given up"]) == (0, 0, 0)
    assert figures["rolled_out"].keys() == set(WORKLOADS)
    for name, end in figures["ends"].items():
        assert end["gone_s"] < end["grace_s"], (name, end)
        assert end["exit_code"] == 0, (name, end)
