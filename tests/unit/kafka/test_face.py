"""Production code takes nothing of tongban_kafka past its face, `tongban_kafka.__all__`."""

from __future__ import annotations

import ast
from pathlib import Path

import tongban_kafka

_ROOT = Path(__file__).parents[3]
_FACE = "tongban_kafka"
_DESCRIBES_THE_INSIDE = {"tools/reference/metrics.py"}
"""Documents the package's own metrics, and is no production code."""


def _past_the_face(source: str) -> list[str]:
    """Return the imports of a module that reach what is not in the face."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.startswith(f"{_FACE}.")]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [each.name for each in node.names]
            if node.module.startswith(f"{_FACE}."):
                found += [f"{node.module}.{name}" for name in names]
            elif node.module == _FACE:
                found += [f"{_FACE}.{name}" for name in names if name not in tongban_kafka.__all__]
    return found


def test_production_code_imports_face_of_kafka_alone() -> None:
    imports = {
        str(path.relative_to(_ROOT)): _past_the_face(path.read_text())
        for parent in ("libs", "services", "tools", "bench", "examples")
        for path in (_ROOT / parent).rglob("*.py")
        if _FACE not in path.parts
    }
    assert len(imports) > 100
    assert {name: found for name, found in imports.items() if found}.keys() <= (
        _DESCRIBES_THE_INSIDE
    )


def test_imports_past_the_face_are_found() -> None:
    source = """
import tongban_kafka.flow
from tongban_kafka.record import Record
from tongban_kafka import Record, fetching
"""
    assert _past_the_face(source) == [
        "tongban_kafka.flow",
        "tongban_kafka.record.Record",
        "tongban_kafka.fetching",
    ]


def test_every_name_of_the_face_exists() -> None:
    assert all(hasattr(tongban_kafka, name) for name in tongban_kafka.__all__)
