"""Provide source files by package to the generators of all pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTE = (
    "<!-- Generated from the code by `make docs` (`python -m tools.reference`): change the code "
    "instead. -->\n"
)
PACKAGES = {
    "kafka": "libs/kafka/tongban_kafka",
    "common": "libs/common/tongban_common",
    "provinces": "libs/provinces/tongban_provinces",
    "intake": "services/intake/tongban_intake",
    "router": "services/router/tongban_router",
    "connectors": "services/connectors/tongban_connectors",
    "printing": "services/printing/tongban_printing",
    "notify": "services/notify/tongban_notify",
    "facts": "tools/facts/tongban_facts",
    "ops": "tools/ops/tongban_ops",
    "gateways": "libs/devstack/tongban_devstack/gateways",
    "devices": "libs/devstack/tongban_devstack/devices",
    "devstack": "libs/devstack/tongban_devstack",
}
"""Directories by short name. Of two that contain a file, the first one has it."""
SERVICES = ("intake", "router", "connectors", "printing", "notify")


@cache
def sources(package: str) -> tuple[Path, ...]:
    """Return the modules of a package, without those of packages that stand before it."""
    inner = [
        ROOT / other
        for other in PACKAGES.values()
        if other != PACKAGES[package] and other.startswith(PACKAGES[package] + "/")
    ]
    return tuple(
        file
        for file in sorted((ROOT / PACKAGES[package]).rglob("*.py"))
        if not any(directory in file.parents for directory in inner)
    )


@cache
def _text(package: str) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sources(package))


def users(pattern: str, among: Iterable[str]) -> Iterator[str]:
    """Yield the packages in whose code a regular expression is found."""
    for package in among:
        if re.search(pattern, _text(package)):
            yield package
