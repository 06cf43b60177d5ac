"""A process shows the version that it runs."""

from __future__ import annotations

import json
import subprocess
import sys

from tongban_common.version import VERSION

_PROGRAM = """
from prometheus_client import generate_latest
from tongban_common.observability import configure_logging
configure_logging("printing", instance="printing-0")
print(generate_latest().decode())
"""


def test_version_is_logged_and_exported_by_every_process_that_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, check=True, text=True, timeout=60
    )
    line = json.loads(done.stderr)
    assert (line["event"], line["service"]) == ("process_starts", "printing")
    assert line["version"] == VERSION
    assert f'tongban_build_info{{service="printing",version="{VERSION}"}} 1.0' in done.stdout
