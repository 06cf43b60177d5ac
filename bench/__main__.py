"""Run every measurement one after the other (`make bench`) and print its ratios.

A module of this package is a measurement if it has an asynchronous `main` that prints its figures
and returns 0, or 1 if it misses a limit. `python -m bench worker intake` runs those two.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import sys

import bench


def measurements(wanted: list[str]) -> list[str]:
    """Return the names of the modules to run, all if none is given."""
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
    """Run all measurements, whatever their results; return 1 if any misses its limit."""
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
