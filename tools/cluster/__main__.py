"""Build what the cluster tests need, and run a node: `python -m tools.cluster COMMAND`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tools.cluster import versions
from tools.cluster.build import build
from tools.cluster.crds import fetch
from tools.cluster.node.layout import RUN, Layout

_CALM = 60


def main() -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("control-plane", help="build etcd, the API server and the controllers")
    commands.add_parser("node", help="build the programs of a node, too")
    for name, text in {
        "up": "start a node with the whole product",
        "restart": "replace every pod under load and print the figures",
        "down": "end it and remove what it left",
        "serve": "run it in the foreground (what `up` starts)",
        "measure": "measure with the cluster's resolver (what `restart` starts)",
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--run", type=Path, default=RUN, help="run directory")
        if name in {"restart", "measure"}:
            command.add_argument("--rate", type=float, default=1.0, help="submissions a second")
            command.add_argument("--calm", type=int, default=_CALM, help="submissions before it")
    given = parser.parse_args()
    if given.command in {"control-plane", "node"}:
        return make(given.command)
    return _run(given)


def make(part: str) -> int:
    """Make what is missing; where Go is absent or too old, say so and return 0: tests skip."""
    names = versions.CONTROL_PLANE + (versions.NODE if part == "node" else ())
    complete = not versions.missing(names) and versions.kwok_stages().is_file()
    if complete and versions.crds().is_dir():
        return 0
    if trouble := versions.go_trouble():
        print(f"nothing can be built, so the cluster tests skip: {trouble}", file=sys.stderr)
        return 0
    versions.tools().mkdir(parents=True, exist_ok=True)
    try:
        fetch()
        build(names)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print(f"cannot make {part}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> int:
    # Imported here, as `control-plane` needs none of the product's distributions.
    from tools.cluster.node import commands, supervisor  # noqa: PLC0415

    layout = Layout(given.run.absolute())
    match given.command:
        case "up":
            return commands.up(layout)
        case "down":
            return commands.down(layout)
        case "serve":
            supervisor.serve(layout)
            return 0
        case "restart":
            return commands.restart(layout, rate=given.rate, calm=given.calm)
        case _:
            return commands.measure_here(layout, rate=given.rate, calm=given.calm)


if __name__ == "__main__":
    sys.exit(main())
