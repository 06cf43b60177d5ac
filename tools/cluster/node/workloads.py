"""Apply the overlay for laptops to the node, with two replicas of each service."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tools.cluster.control_plane import ClusterError
from tools.cluster.node.client import DEVELOPMENT, Client
from tools.cluster.node.layout import NODE, ROOT, Layout
from tools.images.build import naming
from tools.images.table import IMAGES

REPLICATED = ("intake", "router", "printing", "notify")
_OVERLAY = ROOT / "deploy" / "k8s" / "overlays" / "laptop"
_JOBS = ("topics-apply", "catalogue-publish")
_READY_S = 480.0


def apply(layout: Layout, client: Client) -> None:
    """Apply the overlay, and return once both Jobs are complete and every pod is ready.

    Raises:
        ClusterError: kubectl fails, or something is not ready in time.
    """
    client.kubectl(
        "apply",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": _storage(layout)}),
    )
    client.kubectl("apply", "--server-side", "-k", str(_write_overlay(layout)))
    for job in _JOBS:
        client.kubectl(
            "wait",
            "--for=condition=Complete",
            f"job/{job}",
            f"--timeout={_READY_S}s",
            timeout=_READY_S,
        )
    wait_for_pods(client)


def wait_for_pods(client: Client) -> None:
    """Wait until every pod of a StatefulSet is ready.

    Raises:
        ClusterError: one is not ready after eight minutes.
    """
    deadline = time.monotonic() + _READY_S
    while True:
        waiting = [
            f"{each['metadata']['name']} {each['status'].get('readyReplicas', 0)}"
            f"/{each['spec']['replicas']}"
            for each in client.get("statefulsets")["items"]
            if each["status"].get("readyReplicas", 0) != each["spec"]["replicas"]
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"not ready after {_READY_S:.0f} s: {', '.join(waiting)}")
        time.sleep(0.5)


def _storage(layout: Layout) -> list[dict[str, Any]]:
    """Return a default storage class, and a local volume for each router's table.

    A volume belongs to root, as provisioners make them: `fsGroup` has to hand it to the router.
    """
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    on_this_node = {
        "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]
    }
    volumes = []
    for number in range(2):
        path = layout.volumes / str(number)
        path.mkdir(parents=True, mode=0o755)
        volumes.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"local-{number}"},
                "spec": {
                    "capacity": {"storage": "10Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "local",
                    "persistentVolumeReclaimPolicy": "Retain",
                    "local": {"path": str(path)},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [on_this_node]}},
                },
            }
        )
    return [storage_class, *volumes]


def _write_overlay(layout: Layout) -> Path:
    """Write an overlay on the one for laptops: images of this checkout, and two replicas.

    What else it changes is for the test broker and the test store, whose user is 10001, and for a
    machine with two cores: with two replicas the requests of processor time come to 1.9.
    """
    directory = layout.run / "overlay"
    directory.mkdir(exist_ok=True)
    names = naming()
    images = [
        {"name": f"tongban/{name}", "newName": f"{names.prefix}/{name}", "newTag": names.tag}
        for name in IMAGES
    ]
    for known, name in {"apache/kafka": "kafka", "mongo": "store"}.items():
        images.append({"name": known, "newName": f"{names.prefix}/{name}", "newTag": names.tag})
    user = "\n".join(
        f"- {{op: replace, path: /spec/template/spec/securityContext/{field}, value: 10001}}"
        for field in ("runAsUser", "runAsGroup", "fsGroup")
    )
    processor = (
        "- {op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 10m}"
    )
    store = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "any"},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "env": [
                                {"name": "TONGBAN_STORE", "value": DEVELOPMENT["TONGBAN_STORE"]}
                            ],
                        }
                    ]
                }
            }
        },
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(_OVERLAY, directory)],
        "replicas": [{"name": name, "count": 2} for name in REPLICATED],
        "images": images,
        "patches": [
            {"target": {"kind": "StatefulSet", "name": "kafka|store"}, "patch": user},
            {"target": {"kind": "Job"}, "patch": processor},
            {
                "target": {"kind": "StatefulSet", "name": "intake|printing|notify|connectors-.*"},
                "patch": json.dumps(store),
            },
        ],
    }
    (directory / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2))
    return directory
