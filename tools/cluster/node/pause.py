"""Make the image of the sandbox container, which holds a pod's namespaces and does nothing.

No registry is reachable where this runs, so the image of Kubernetes' own project cannot be pulled.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tools.cluster import versions

PAUSE_IMAGE = "docker.io/tongban/pause:1"
_SOURCE = """\
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
"""


def build_pause(program: Path) -> None:
    """Compile the program of the image, with nothing but Go's standard library.

    Raises:
        subprocess.CalledProcessError: Go fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "main.go").write_text(_SOURCE)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(  # noqa: S603 - the arguments are ours
            ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(program), "main.go"],  # noqa: S607
            cwd=scratch, env=environment, check=True,
        )  # fmt: skip


def pause_archive() -> bytes:
    """Return the image as `docker save` would write it."""
    layer = _tar({"pause": (versions.binary("pause").read_bytes(), 0o755)})
    configuration = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    return _tar(
        {
            name: (configuration, 0o644),
            "layer.tar": (layer, 0o644),
            "manifest.json": (json.dumps(manifest).encode(), 0o644),
        }
    )


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()
