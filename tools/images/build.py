"""Build images with the classic builder, which every Docker has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.images import bill
from tools.images.table import LIMIT_MB, OUT, ROOT, Image

_PUBLIC_BASE = "debian:bookworm-slim"
_DEFINITIONS = ROOT / "deploy/images"
_READ = """
import json, pathlib
records = sorted(pathlib.Path("/var/lib/dpkg/status.d").iterdir())
bill = pathlib.Path("/usr/share/tongban/sbom.cdx.json").read_text()
print(json.dumps([bill, "\\n\\n".join(each.read_text().strip() for each in records)]))
"""
"""Runs in an image, which has no shell."""


class ImageError(Exception):
    """Raised when an image cannot be built, or is not as it should be."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Says how images are called, and what they are built on."""

    prefix: str
    tag: str
    base: str
    build_base: str

    def of(self, name: str) -> str:
        """Return the full name of an image."""
        return f"{self.prefix}/{name}:{self.tag}"


def naming() -> Naming:
    """Return the names that IMAGE_PREFIX, IMAGE_TAG, BASE and BUILD_BASE set.

    The images that deploy/images/make-base made are the bases where they exist and BASE is unset.
    """
    prefix, tag = os.environ.get("IMAGE_PREFIX", "tongban"), os.environ.get("IMAGE_TAG", "dev")
    base, build_base = os.environ.get("BASE", ""), os.environ.get("BUILD_BASE", "")
    if not base and _exists(f"{prefix}/base:dev"):
        base, build_base = f"{prefix}/base:dev", build_base or f"{prefix}/base-build:dev"
    base = base or _PUBLIC_BASE
    return Naming(prefix, tag, base, build_base or base)


def build(image: Image, names: Naming) -> float:
    """Build an image of the product, write its bill of materials, and return its size in MB.

    Raises:
        ImageError: it cannot be built, or is too large.
    """
    project = tomllib.loads(image.project.read_text())["project"]
    arguments = {
        "BASE": names.base,
        "BUILD_BASE": names.build_base,
        "IMAGE": image.name,
        "PROGRAM": image.program,
        "DISTRIBUTIONS": " ".join(image.distributions),
        "VERSION": project["version"],
        "REVISION": _revision(),
        **{name: os.environ[name] for name in ("SOURCE",) if name in os.environ},
    }
    _build(names.of(image.name), _DEFINITIONS / "Dockerfile", ROOT, arguments, image.target)
    _write_bill(image, names, project["version"])
    size = size_mb(names.of(image.name))
    if size >= LIMIT_MB:
        raise ImageError(f"{names.of(image.name)} has {size:.0f} MB; {LIMIT_MB} MB are too many")
    return size


def build_kafka(names: Naming, runtime: Path, jars: list[Path]) -> float:
    """Build the test broker from a Java runtime and jars, and return its size in MB."""
    with tempfile.TemporaryDirectory(prefix="tongban-image-") as directory:
        context = Path(directory)
        shutil.copytree(runtime, context / "jre", symlinks=True)
        (context / "jars").mkdir()
        for jar in jars:
            shutil.copy2(jar, context / "jars")
        shutil.copy2(_DEFINITIONS / "kafka/run", context)
        _build(names.of("kafka"), _DEFINITIONS / "kafka/Dockerfile", context, {"BASE": names.base})
    return size_mb(names.of("kafka"))


def build_store(names: Naming) -> float:
    """Build the test store and return its size in MB."""
    bases = {"BASE": names.base, "BUILD_BASE": names.build_base}
    _build(names.of("store"), _DEFINITIONS / "store/Dockerfile", _DEFINITIONS, bases)
    return size_mb(names.of("store"))


def size_mb(name: str) -> float:
    """Return an image's size in MB of 10^6 bytes."""
    return int(_run("docker", "image", "inspect", "-f", "{{.Size}}", name)) / 1e6


def _build(
    name: str, dockerfile: Path, context: Path, arguments: dict[str, str], target: str = ""
) -> None:
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    if target:
        options.append(f"--target={target}")
    command = ["docker", "build", "-t", name, "-f", str(dockerfile), *options, str(context)]
    _run(*command)


def _write_bill(image: Image, names: Naming, version: str) -> None:
    inside = ["docker", "run", "--rm", "--network=none", "--entrypoint=python3"]
    python, debian = json.loads(_run(*inside, names.of(image.name), "-I", "-c", _READ))
    OUT.mkdir(parents=True, exist_ok=True)
    text = bill.complete(python, debian, image=image.name, version=version)
    (OUT / f"{image.name}.cdx.json").write_text(text)


def _revision() -> str:
    try:
        return _run("git", "-C", str(ROOT), "rev-parse", "HEAD").strip()
    except (ImageError, FileNotFoundError):
        return "unknown"


def _exists(name: str) -> bool:
    try:
        _run("docker", "image", "inspect", name)
    except ImageError:
        return False
    return True


def _run(*command: str) -> str:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(  # noqa: S603 - argv is ours
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        output = (done.stdout + done.stderr)[-3000:]
        raise ImageError(f"{' '.join(command[:3])} failed ({done.returncode}):\n{output}")
    return done.stdout
