"""Write the lock of each image: `python -m tools.images.lock uv pip compile OPTION ...`.

Versions are those of requirements.lock, and of deploy/requirements.lock for what builds images.
"""

from __future__ import annotations

import subprocess
import sys

from tools.images.table import IMAGES, LOCKS, ROOT


def main(compile_command: list[str]) -> None:
    """Write all locks with the given command of uv."""
    own = sorted(
        f"tongban-{project.parent.name}"
        for place in ("libs", "services", "tools")
        for project in (ROOT / place).glob("*/pyproject.toml")
    )
    for image in IMAGES.values():
        left_out = [f"--no-emit-package={name}" for name in (*own, *image.without)]
        project = image.project.relative_to(ROOT)
        _compile([*compile_command, *left_out, "-c", "requirements.lock"], image.name, str(project))
    for name, constraints in (
        ("build", "deploy/requirements.lock"),
        ("store", "requirements.lock"),
    ):
        source = str((LOCKS / f"{name}.in").relative_to(ROOT))
        _compile([*compile_command, "-c", constraints], name, source)


def _compile(command: list[str], name: str, source: str) -> None:
    lock = (LOCKS / f"{name}.lock").relative_to(ROOT)
    subprocess.run(  # noqa: S603 - argv is ours
        [*command, "--output-file", str(lock), source], cwd=ROOT, check=True
    )


if __name__ == "__main__":
    main(sys.argv[1:])
