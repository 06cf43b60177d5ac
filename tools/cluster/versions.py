"""Name the versions of what a cluster consists of, and where this machine keeps them.

Everything is cached by version below the user's cache directory, so a second checkout or a later
run builds nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tongban_devstack.files import user_cache

KUBERNETES = "1.37.2"
ETCD = "3.7.3"
KWOK = "0.8.0"
STRIMZI = "1.2.0"
KEDA = "2.21.0"
PROMETHEUS_OPERATOR = "0.85.0"
GO = (1, 26)
"""The least version of Go that builds Kubernetes."""

_DIRECTORIES = {
    "etcd": f"etcd-{ETCD}",
    **dict.fromkeys(
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        f"kubernetes-{KUBERNETES}",
    ),
    "kwok": f"kwok-{KWOK}",
    "pause": "pause-1",
}
API_SERVER = ("etcd", "kube-apiserver")
CONTROL_PLANE = (*API_SERVER, "kube-controller-manager", "kube-scheduler", "kwok")
NODE = ("kubelet", "kube-proxy", "pause")
"""A real node needs these beside the control plane, except kwok. The rest is Debian's."""


def tools() -> Path:
    """Return the directory of everything that was built or fetched."""
    return user_cache() / "tools"


def binary(name: str) -> Path:
    """Return the path of a program, whether it has been built or not."""
    return tools() / _DIRECTORIES[name] / name


def missing(names: tuple[str, ...]) -> list[str]:
    """Return the programs of `names` that have not been built."""
    return [name for name in names if not binary(name).is_file()]


def kwok_stages() -> Path:
    """Return the file of stages by which kwok lets nodes and pods live."""
    return tools() / _DIRECTORIES["kwok"] / "stages.yaml"


def crds() -> Path:
    """Return the directory of the custom resource definitions of exactly these versions."""
    return tools() / f"crds-strimzi{STRIMZI}-keda{KEDA}-prometheus{PROMETHEUS_OPERATOR}"


def go_trouble() -> str | None:
    """Return why Go cannot build Kubernetes here, or None if it can."""
    go = shutil.which("go")
    if go is None:
        return "there is no Go"
    text = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"go(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < GO:
        return f"Kubernetes {KUBERNETES} needs Go {GO[0]}.{GO[1]}; here is {text.strip() or go}"
    return None
