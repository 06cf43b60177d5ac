"""What processes write to their logs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime

from tongban_common.observability.logs import Repeats

PROGRAM = """
import logging
from tongban_common.observability import configure_logging
configure_logging("intake", instance="intake-0")
for _ in range(300):
    logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s", 1)
logging.getLogger("other").warning("said")
logging.getLogger("other").warning("said")
"""


def record(name: str, line: int, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "conn.py", line, message, args, None)


def test_a_library_repeats_itself_once_in_a_while_and_is_counted() -> None:
    now = 100.0
    repeats = Repeats("aiokafka", every_s=10, clock=lambda: now)
    passed = [repeats.filter(record("aiokafka.conn", 7, "node %s: 100%%", 1)) for _ in range(50)]
    assert passed == [True] + [False] * 49
    assert repeats.filter(record("aiokafka.conn", 8, "something else"))
    assert all(repeats.filter(record("aiokafkaesque", 7, "of another")) for _ in range(3))
    now = 110.0
    later = record("aiokafka.conn", 7, "node %s: 100%%", 1)
    assert repeats.filter(later)
    assert later.getMessage() == "node 1: 100% (and 49 like it, not written)"


def test_lines_are_json_with_a_moment_that_has_an_offset() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = ["process_starts", "Unable connect to node with id 1", "said", "said"]
    assert [line["event"] for line in lines] == said
    assert {line["service"] for line in lines} == {"intake"}
    assert all(datetime.fromisoformat(line["at"]).tzinfo for line in lines)


FAILING = """
import asyncio, logging, structlog
from pydantic import TypeAdapter
from tongban_common.observability import configure_logging
configure_logging("router", instance="router-0")
def refuse():
    try:
        int("110101199003078690x")
    except ValueError as error:
        TypeAdapter(int).validate_python("张三")
try:
    refuse()
except ValueError:
    structlog.get_logger().exception("router.fault")
    logging.getLogger("faust").exception("crashed")
try:
    refuse()
except ValueError as error:
    structlog.get_logger().error("standing.fault", exc_info=error)
async def ended():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(refuse))
asyncio.run(ended())
"""


def test_text_of_an_exception_is_never_written() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "张三" not in done.stderr
    assert "\\u5f20" not in done.stderr
    assert "110101199003078690" not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in lines]
    assert events == [
        "process_starts", "router.fault", "crashed", "standing.fault", "process_failed"
    ]  # fmt: skip
    for line in lines[1:4]:
        assert line["exception"][0]["error"] == "ValidationError"
        assert "refuse" in str(line["exception"][0]["at"])
    kinds = [each["error"] for each in lines[4]["exception"]]
    assert kinds == ["ExceptionGroup", "ValidationError"]
