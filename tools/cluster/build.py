"""Build programs of the cluster with Go, from the modules that the Go proxy and its checksum
database vouch for.

Kubernetes is no ordinary module: its go.mod replaces some thirty modules by directories of its own
repository. A module of our own replaces them by the releases of the same version.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tongban_devstack.files import exclusive
from tools.cluster import versions
from tools.cluster.node.pause import build_pause

_PACKAGES = {
    "etcd": f"go.etcd.io/etcd/server/v3@v{versions.ETCD}",
    "kwok": f"sigs.k8s.io/kwok/cmd/kwok@v{versions.KWOK}",
    **{
        name: f"k8s.io/kubernetes/cmd/{name}@v{versions.KUBERNETES}"
        for name in versions.CONTROL_PLANE + versions.NODE
        if name.startswith("kube")
    },
}
_INSTALLABLE = {"kwok"}
"""Programs that `go install` builds by itself, as their go.mod replaces nothing."""


def build(names: Iterable[str]) -> None:
    """Build what is missing. Several processes may call this at once.

    Raises:
        subprocess.CalledProcessError: Go fails; its messages are on standard error.
    """
    with exclusive(versions.tools() / "build.lock", wait=True):
        absent = versions.missing(tuple(names))
        for name in absent:
            package = _PACKAGES.get(name, "from our own source")
            print(f"building {name} ({package})", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=versions.tools(), prefix="build-") as scratch:
                made = _build(name, Path(scratch))
                versions.binary(name).parent.mkdir(parents=True, exist_ok=True)
                made.replace(versions.binary(name))
        if "kwok" in names and not versions.kwok_stages().is_file():
            _write_stages()


def _build(name: str, scratch: Path) -> Path:
    """Build one program into `scratch` and return its path there."""
    if name == "pause":
        build_pause(scratch / name)
        return scratch / name
    package = _PACKAGES[name]
    if name in _INSTALLABLE:
        _go(scratch, "install", "-trimpath", "-ldflags=-s -w", package, env={"GOBIN": str(scratch)})
        return scratch / name
    (scratch / "go.mod").write_text(f"module example.org/{name}\n\ngo {_dotted()}.0\n")
    flags = "-s -w"
    if name.startswith("kube"):
        _replace_staging(scratch)
        major, minor, _ = versions.KUBERNETES.split(".")
        version = "k8s.io/component-base/version"
        flags += f" -X {version}.gitVersion=v{versions.KUBERNETES}"
        flags += f" -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    _go(scratch, "get", "-tool", package)
    path = package.partition("@")[0]
    _go(scratch, "build", "-trimpath", f"-ldflags={flags}", "-o", str(scratch / name), path)
    return scratch / name


def _dotted() -> str:
    return ".".join(map(str, versions.GO))


def _replace_staging(scratch: Path) -> None:
    """Replace the modules that Kubernetes takes from its repository by their releases."""
    kubernetes = f"k8s.io/kubernetes@v{versions.KUBERNETES}"
    go_mod = Path(_go(scratch, "list", "-m", "-f", "{{.GoMod}}", kubernetes).strip())
    staged = sorted(
        set(re.findall(r"^\s*(k8s\.io/[a-z-]+) => \./staging", go_mod.read_text(), re.M))
    )
    release = versions.KUBERNETES.partition(".")[2]
    replacements = [
        f"-replace={module}={module}@v0.{release}" for module in staged if "/sample-" not in module
    ]
    _go(scratch, "mod", "edit", *replacements)


def module_directory(module: str) -> Path:
    """Download a module (`path@vX`) and return its directory in Go's cache."""
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[str, str] = json.loads(_go(Path(scratch), "mod", "download", "-json", module))
    return Path(found["Dir"])


def _write_stages() -> None:
    """Keep kwok's own stages, without the tests beside them, as one file of documents."""
    directory = module_directory(f"sigs.k8s.io/kwok@v{versions.KWOK}") / "kustomize" / "stage"
    wanted = ("node/fast", "node/heartbeat", "pod/fast")
    files = [
        file
        for part in wanted
        for file in sorted((directory / part).glob("*.yaml"))
        if re.search(r"^kind: Stage$", file.read_text(), re.M)
    ]
    if not files:
        raise FileNotFoundError(f"no stages below {directory}")
    text = "\n---\n".join(file.read_text().strip() for file in files)
    temporary = versions.kwok_stages().with_suffix(".new")
    temporary.write_text(text + "\n")
    temporary.replace(versions.kwok_stages())


def _go(directory: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    go = shutil.which("go")
    if go is None:
        raise FileNotFoundError("there is no Go")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", **(env or {})}
    return subprocess.run(  # noqa: S603 - the arguments are ours
        [go, *arguments], cwd=directory, env=environment, check=True, stdout=subprocess.PIPE,
        text=True,
    ).stdout  # fmt: skip
