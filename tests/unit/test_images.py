"""Each image's lock has what its program imports, with the versions of the workspace's lock."""

from __future__ import annotations

import ast
import json
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.images import bill
from tools.images.table import IMAGES, ROOT, Image

_PIN = re.compile(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)


def _pins(lock: Path) -> dict[str, str]:
    return dict(_PIN.findall(lock.read_text()))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _closure(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> None:
    """Add everything that a distribution requires here, by what the installed ones say."""
    if (name, extras) in seen:
        return
    seen.add((name, extras))
    for text in metadata.requires(name) or ():
        wanted = Requirement(text)
        environments = [{"extra": extra} for extra in (extras or {""})]
        if wanted.marker is None or any(wanted.marker.evaluate(each) for each in environments):
            _closure(_normal(wanted.name), frozenset(wanted.extras), seen)


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_lock_of_image_holds_what_its_distributions_require(image: Image) -> None:
    distribution = f"tongban-{Path(image.distributions[-1]).name}"
    seen: set[tuple[str, frozenset[str]]] = set()
    _closure(distribution, frozenset(), seen)
    required = {name for name, _ in seen}
    own = {f"tongban-{Path(each).name}" for each in image.distributions}
    assert {name for name in required if name.startswith("tongban-")} == own
    pins = _pins(image.lock)
    missing = required - own - set(image.without) - set(pins)
    assert missing == set(), f"run `make lock`: {image.lock.name} lacks {missing}"
    assert not set(image.without) & set(pins)


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_lock_of_image_has_versions_of_workspace_and_hashes(image: Image) -> None:
    workspace, pins = _pins(ROOT / "requirements.lock"), _pins(image.lock)
    assert len(pins) > 20
    assert {name: workspace[name] for name in pins} == pins
    assert image.lock.read_text().count("--hash=sha256:") >= len(pins)


def _source(module: str, image: Image) -> Path | None:
    for directory in image.distributions:
        path = ROOT / directory / module.replace(".", "/")
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _imports(file: Path) -> set[str]:
    """Return what a file imports anywhere, but for the type checker alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        waiting += ast.iter_child_nodes(node)
    return found


def _reached(image: Image) -> set[str]:
    """Return the top names outside the project that the program's modules import."""
    entries = metadata.entry_points(group="console_scripts")
    waiting = {entry.module for entry in entries if entry.name == image.program}
    if image.name == "outside":
        waiting |= {entry.module for entry in entries if entry.name == "tongban-devices"}
    assert waiting
    package = next(iter(waiting)).split(".")[0]
    if image.name == "ops":  # its commands are found by name
        root = ROOT / image.distributions[-1]
        files = (root / package).rglob("*.py")
        waiting |= {".".join(file.relative_to(root).with_suffix("").parts) for file in files}
    known: set[str] = set()
    outside: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in known:
            continue
        known.add(module)
        if not module.startswith("tongban_"):
            outside.add(module.split(".")[0])
            continue
        parents = module.split(".")
        waiting |= {".".join(parents[:end]) for end in range(1, len(parents))}
        if file := _source(module, image):
            waiting |= _imports(file)
    return outside - sys.stdlib_module_names


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_lock_of_image_has_every_package_that_its_program_imports(image: Image) -> None:
    providers = metadata.packages_distributions()
    reached = _reached(image)
    pins = _pins(image.lock)
    missing = {
        name
        for name in reached
        if not {_normal(each) for each in providers.get(name, [name])} & set(pins)
    }
    assert {"aiohttp", "structlog"} <= reached
    assert missing == set()


def test_lock_of_notify_has_neither_catalogue_nor_command() -> None:
    unwanted = {"jsonschema-rs", "pyyaml", "python-stdnum", "typer", "rich", "pypinyin", "zeep"}
    assert not unwanted & set(_pins(IMAGES["notify"].lock))


def test_bill_of_materials_has_packages_of_debian_and_of_python() -> None:
    python = {"components": [{"type": "library", "name": "orjson"}]}
    records = (
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n"
        "Package: libdb5.3\nArchitecture: amd64\nVersion: 1:5.3.28"
    )
    made = json.loads(bill.complete(json.dumps(python), records, image="notify", version="0.1.0"))
    assert [each["name"] for each in made["components"]] == ["orjson", "libc6", "libdb5.3"]
    assert made["components"][2]["purl"] == "pkg:deb/debian/libdb5.3@1%3A5.3.28?arch=amd64"
    assert made["metadata"]["component"]["name"] == "tongban-notify"
