"""`make bench`: every measurement, one after the other, each with its ratios.

A module of this package is one if it has an asynchronous `main` that prints its figures and returns
0, or 1 where one is missed. `python -m bench worker intake` runs those two.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import sys

import bench


def measurements(wanted: list[str]) -> list[str]:
    """Names of the modules to run, all where none is named."""
    found = [
        module.name
        for module in pkgutil.iter_modules(bench.__path__)
        if not module.name.startswith("_")
        and hasattr(importlib.import_module(f"bench.{module.name}"), "main")
    ]
    if unknown := set(wanted) - set(found):
        raise SystemExit(f"no measurement {', '.join(sorted(unknown))}; there are {found}")
    return wanted or found


def run(names: list[str]) -> int:
    """Run them all, whatever one of them finds; 1 if any figure is missed."""
    os.environ.setdefault("TONGBAN_ENVIRONMENT", "development")
    missed = []
    for name in names:
        print(f"--- {name}", flush=True)
        sys.argv = [f"bench/{name}.py"]
        if asyncio.run(importlib.import_module(f"bench.{name}").main()):
            missed.append(name)
    print(f"--- missed: {', '.join(missed)}" if missed else "--- all reached")
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(run(measurements(sys.argv[1:])))
