"""Every distribution lists what it imports, so that it can be installed by itself."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(ROOT.glob("libs/*/pyproject.toml")) + sorted(
    [*ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("tools/*/pyproject.toml")]
)
_COMES_WITH = {"pydantic_core": "pydantic"}
"""Modules that are the public face of another distribution's engine."""


def _normal(name: str) -> str:
    return re.split(r"[\[>=<; ]", name)[0].lower().replace("_", "-")


def _imported(directory: Path) -> set[str]:
    found = set()
    for file in directory.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.split(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return {name for name in found if name not in sys.stdlib_module_names}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_distribution_lists_everything_that_it_imports(project: Path) -> None:
    described = tomllib.loads(project.read_text())["project"]
    extras = described.get("optional-dependencies", {}).values()
    required = [*described["dependencies"], *(each for extra in extras for each in extra)]
    listed = {_normal(each) for each in [described["name"], *required]}
    providers = packages_distributions()
    missing = {
        name
        for name in _imported(project.parent)
        if not {_normal(each) for each in providers.get(_COMES_WITH.get(name, name), [name])}
        & listed
    }
    assert len(listed) > 1
    assert missing == set()
