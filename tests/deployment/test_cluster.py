"""A real API server takes the overlays, refuses what is wrong, and rolls out, drains and replaces.

Nodes and pods are kwok's, so nothing runs; what decides is Kubernetes. `make test-cluster` builds
what this needs. Without it, the tests skip and say why.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment.manifests_kit import OVERLAYS, Manifest, containers, of_kind, overlay
from tools.cluster import versions
from tools.cluster.control_plane import ControlPlane, kubectl_path, kwok_node

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
_NAMESPACE = ("-n", "tongban")
_WAIT_S = 90.0


def _lacks(names: tuple[str, ...]) -> str | None:
    """Return why the programs of `names` cannot be run, or None if they can."""
    if kubectl_path() is None:
        return "no kubectl: make .venv-deploy/.installed-from-lock"
    absent = versions.missing(names)
    if not absent and versions.crds().is_dir():
        return None
    trouble = versions.go_trouble()
    return trouble or f"not built: {', '.join(absent) or 'CRDs'}; make test-cluster builds it"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that knows the custom resources, with controllers where they are built."""
    if trouble := _lacks(versions.API_SERVER):
        pytest.skip(trouble)
    complete = _lacks(versions.CONTROL_PLANE) is None
    with ControlPlane(tmp_path_factory.mktemp("cluster"), controllers=complete) as plane:
        plane.kubectl("apply", "--server-side", "-f", str(versions.crds()))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        [namespace] = of_kind(overlay("laptop"), "Namespace")
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(namespace))
        if not complete:  # a pod needs an account, which a controller would make
            plane.kubectl("create", "serviceaccount", "default", *_NAMESPACE)
        yield plane


_LIST = {"apiVersion": "v1", "kind": "List"}


def _until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_taken(cluster: ControlPlane, name: str) -> None:
    text = yaml.dump_all(overlay(name), Dumper=yaml.CSafeDumper)
    done = cluster.try_kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-",
        stdin=text, timeout=120,
    )  # fmt: skip
    # A pod that the namespace would refuse is a warning on its workload.
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(overlay(name))


def _bad(kind: str, change: Callable[[Manifest], None]) -> str:
    """Return an object of the production overlay after a change, as text."""
    found = json.loads(json.dumps(next(of_kind(overlay("production"), kind))))
    change(found)
    return json.dumps(found)


def _pod() -> Manifest:
    """Return the pod of a StatefulSet, as it would be made."""
    template = next(of_kind(overlay("production"), "StatefulSet"))["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **json.loads(json.dumps(template))}
    pod["metadata"].update(name="bad", namespace="tongban")
    return pod


def _as_root(pod: Manifest) -> Manifest:
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    return pod


def test_what_is_wrong_is_refused_with_the_field_named(cluster: ControlPlane) -> None:
    wrong = {
        'unknown field "spec.replica"': _bad(
            "StatefulSet", lambda it: it["spec"].update(replica=1)
        ),
        "runAsNonRoot": json.dumps(_as_root(_pod())),
        "spec.triggers": _bad("ScaledObject", lambda it: it["spec"].pop("triggers")),
        "patternType": _bad(
            "KafkaUser",
            lambda it: it["spec"]["authorization"]["acls"][0]["resource"].update(
                patternType="exact"
            ),
        ),
        "minAvailable": _bad("PodDisruptionBudget", lambda it: it["spec"].update(minAvailable=1)),
        "spec.egress": _bad(
            "NetworkPolicy", lambda it: it["spec"].update(egress=[{"ports": [{"port": 70000}]}])
        ),
    }
    for words, text in wrong.items():
        done = cluster.try_kubectl(
            "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
        )
        assert done.returncode != 0, words
        assert words in done.stderr, (words, done.stderr)


def _pods(cluster: ControlPlane, workload: str) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/name={workload}"
    found: list[dict[str, Any]] = cluster.get("pods", *_NAMESPACE, "-l", selector)["items"]
    return found


def _rolled_out(cluster: ControlPlane, workload: str) -> None:
    cluster.kubectl(
        "rollout", "status", *_NAMESPACE, f"statefulset/{workload}", "--timeout=90s", timeout=100
    )


def test_workloads_roll_out_are_replaced_one_by_one_and_drained_within_their_budget(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    if trouble := _lacks(versions.CONTROL_PLANE):
        pytest.skip(trouble)
    nodes = [kwok_node(f"node-{number}", f"zone-{number}") for number in range(3)]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({**_LIST, "items": nodes}))
    cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
    kept = [
        each
        for each in overlay("production")
        if each["kind"] not in {"Job", "KafkaUser", "KafkaTopic", "ScaledObject"}
    ]
    file = tmp_path / "production.yaml"
    file.write_text(yaml.dump_all(kept, Dumper=yaml.CSafeDumper))
    cluster.kubectl("apply", "--server-side", "-f", str(file), timeout=120)
    _provide_volumes(cluster)
    cluster.kubectl("scale", *_NAMESPACE, "statefulset", "notify", "router", "--replicas=3")
    for name, _, _ in containers(overlay("production")):
        if name != "catalogue-publish":
            _rolled_out(cluster, name)
    policies = cluster.get("networkpolicies", *_NAMESPACE)["items"]
    assert len(policies) == len(list(of_kind(overlay("production"), "NetworkPolicy")))
    used = {pod["spec"]["nodeName"] for pod in _pods(cluster, "notify")}
    assert len(used) == 3  # spread over all nodes

    _replaced_one_by_one(cluster)
    _drained_within_the_budget(cluster)


def _provide_volumes(cluster: ControlPlane) -> None:
    """Make a volume for each claim, as a storage class would."""
    volumes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"volume-{number}"},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": f"/nowhere/{number}"},
            },
        }
        for number in range(3)
    ]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({**_LIST, "items": volumes}))


def _replaced_one_by_one(cluster: ControlPlane) -> None:
    """Change notify's image, and read from the events of the pods that no two were away at once."""
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in _pods(cluster, "notify")}
    cluster.kubectl("set", "image", *_NAMESPACE, "statefulset/notify", "main=tongban/notify:0.2.0")
    fewest = 3

    def replaced() -> bool:
        nonlocal fewest
        ready = [
            pod
            for pod in _pods(cluster, "notify")
            if any(
                each["type"] == "Ready" and each["status"] == "True"
                for each in pod.get("status", {}).get("conditions", ())
            )
        ]
        fewest = min(fewest, len(ready))
        now = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in ready}
        return now.keys() == before.keys() and not now.items() & before.items()

    _until(replaced, "the new image was not rolled out")
    assert fewest >= 2
    images = {pod["spec"]["containers"][0]["image"] for pod in _pods(cluster, "notify")}
    assert images == {"tongban/notify:0.2.0"}


def _drained_within_the_budget(cluster: ControlPlane) -> None:
    """With one of three pods gone for good, the budget refuses the eviction of a second one."""
    first, second, _third = sorted(pod["metadata"]["name"] for pod in _pods(cluster, "notify"))
    cluster.kubectl("cordon", "node-0", "node-1", "node-2")

    def evict(name: str) -> str:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": "tongban"},
        }
        path = f"/api/v1/namespaces/tongban/pods/{name}/eviction"
        done = cluster.try_kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        return done.stderr

    def allowed() -> int:
        budget = cluster.get("poddisruptionbudget", "notify", *_NAMESPACE)
        return int(budget.get("status", {}).get("disruptionsAllowed", 0))

    _until(lambda: allowed() == 1, "the budget allows no eviction")
    assert evict(first) == ""
    _until(lambda: allowed() == 0, "the budget still allows an eviction")
    assert "disruption budget" in evict(second)
    cluster.kubectl("uncordon", "node-0", "node-1", "node-2")
    _until(lambda: allowed() == 1, "the pod did not come back")
    assert evict(second) == ""
