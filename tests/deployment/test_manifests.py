"""The manifests can be built, are valid, and keep the rules for pods that run with people's data.

kubernetes-validate knows Kubernetes' own kinds strictly; custom resources are checked with the
schemas of their definitions, where those have been fetched (`python -m tools.cluster`).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.deployment.manifests_kit import (
    K8S,
    OVERLAYS,
    ROOT,
    Manifest,
    combined,
    containers,
    of_kind,
    overlay,
)
from tongban_ops.deployment.processes import HTTP_PORT
from tools.cluster import versions

_VALIDATE = ROOT / ".venv-deploy" / "bin" / "kubernetes-validate"
_CUSTOM = ("kafka.strimzi.io", "keda.sh", "monitoring.coreos.com")
_OF_OTHERS = {"kafka", "store"}
"""Workloads of the laptop overlay whose images are not ours: they write to their root."""


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> tuple[Manifest, ...]:
    return overlay(request.param)


def _is_custom(each: Manifest) -> bool:
    return each["apiVersion"].partition("/")[0] in _CUSTOM


def test_own_kinds_are_valid_strictly(objects: tuple[Manifest, ...], tmp_path: Path) -> None:
    if not _VALIDATE.exists():
        pytest.skip("no kubernetes-validate: make .venv-deploy/.installed-from-lock")
    own = [each for each in objects if not _is_custom(each)]
    assert own
    file = tmp_path / "own.yaml"
    file.write_text(yaml.dump_all(own, Dumper=yaml.CSafeDumper))
    done = subprocess.run(
        [str(_VALIDATE), "--strict", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _strict(schema: Any) -> Any:
    """Return a structural schema that also refuses fields that it does not name."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(inner) for name, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and not (
        schema.get("x-kubernetes-preserve-unknown-fields")
        or schema.get("x-kubernetes-embedded-resource")
        or "additionalProperties" in schema
    ):
        made["additionalProperties"] = False
    if "(?i)" in str(schema.get("pattern")):
        del made["pattern"]  # Go's syntax, which ECMA 262 has not
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made


def _schemas() -> dict[tuple[str, str], Any]:
    """Return the strict schema of each custom resource by API version and kind."""
    if not versions.crds().is_dir():
        pytest.skip("no definitions of custom resources: python -m tools.cluster control-plane")
    made = {}
    for file in versions.crds().glob("*.yaml"):
        crd = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]
        for version in crd["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            made[f"{crd['group']}/{version['name']}", crd["names"]["kind"]] = schema
    return made


def test_custom_resources_fit_their_definitions() -> None:
    schemas = _schemas()
    validators = {key: jsonschema_rs.Draft7Validator(schema) for key, schema in schemas.items()}
    seen = set()
    for each in filter(_is_custom, overlay("production")):
        key = each["apiVersion"], each["kind"]
        faults = [error.message for error in validators[key].iter_errors(each)]
        assert not faults, (each["metadata"]["name"], faults)
        seen.add(each["kind"])
    assert seen >= {"KafkaTopic", "KafkaUser", "ScaledObject", "PodMonitor"}
    assert next(
        validators["keda.sh/v1alpha1", "ScaledObject"].iter_errors({"spec": {"x": 1}}), None
    )


def test_every_component_can_be_left_out(tmp_path: Path) -> None:
    components = sorted(path.name for path in (K8S / "components").iterdir() if path.is_dir())
    assert "network-policies" in components
    for name in components:
        made = combined(tmp_path / name, *([name] if name != "pod" else []))
        assert len({(each["kind"], each["metadata"]["name"]) for each in made}) == len(made)


def test_every_directory_of_manifests_has_its_explanation() -> None:
    for directory in (K8S, *(K8S / "components").iterdir(), *(K8S / "overlays").iterdir()):
        if directory.is_dir():
            assert (directory / "README.md").is_file(), directory


def test_every_pod_is_restricted_and_bounded(objects: tuple[Manifest, ...]) -> None:
    [namespace] = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod, container in containers(objects):
        context, own = pod["securityContext"], container["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] >= 999, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert own.get("readOnlyRootFilesystem") or name in _OF_OTHERS, name
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), name
        assert "memory" in resources["limits"], name
        for volume in pod.get("volumes", ()):
            assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), name


def test_every_image_has_a_version(objects: tuple[Manifest, ...]) -> None:
    for name, _pod, container in containers(objects):
        repository, colon, tag = container["image"].rpartition(":")
        assert colon and repository and tag != "latest", (name, container["image"])


def test_every_process_has_probes_and_time_to_drain(objects: tuple[Manifest, ...]) -> None:
    sets = list(of_kind(objects, "StatefulSet"))
    assert sets
    for each in sets:
        pod = each["spec"]["template"]["spec"]
        [container] = pod["containers"]
        named = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            [check] = [
                container[probe][kind]
                for kind in ("httpGet", "tcpSocket")
                if kind in container[probe]
            ]
            assert check["port"] in named, each["metadata"]["name"]
        # 10 s are the default of TONGBAN_DRAIN_SECONDS.
        assert pod["terminationGracePeriodSeconds"] >= 20, each["metadata"]["name"]


def test_router_may_take_minutes_to_rebuild_its_table() -> None:
    [router] = [
        each for each in of_kind(overlay("production"), "StatefulSet")
        if each["metadata"]["name"] == "router"
    ]  # fmt: skip
    probe = router["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


def _selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_services_budgets_and_policies_select_pods_that_exist(
    objects: tuple[Manifest, ...],
) -> None:
    workloads = list(of_kind(objects, "StatefulSet", "Job"))
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in workloads
    }
    for service in of_kind(objects, "Service"):
        selected = [
            name for name, labels in pods.items() if _selects(service["spec"]["selector"], labels)
        ]
        assert selected, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            for each in workloads:
                if each["metadata"]["name"] in selected:
                    ports = each["spec"]["template"]["spec"]["containers"][0]["ports"]
                    assert {port["targetPort"]: port["port"]}.items() <= {
                        own["name"]: own["containerPort"] for own in ports
                    }.items()
    for policy in of_kind(objects, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]["matchLabels"]
        assert any(_selects(selector, labels) for labels in pods.values()), policy["metadata"][
            "name"
        ]
    budgets = list(of_kind(objects, "PodDisruptionBudget"))
    for name, labels in pods.items():
        if labels.get("app.kubernetes.io/name") in {
            "intake",
            "router",
            "connectors",
            "printing",
            "notify",
        }:
            hits = [
                each
                for each in budgets
                if _selects(each["spec"]["selector"]["matchLabels"], labels)
            ]
            assert len(hits) == 1, name  # two would block every eviction
            assert hits[0]["spec"]["maxUnavailable"] == 1


def test_governing_service_of_every_stateful_set_exists(objects: tuple[Manifest, ...]) -> None:
    services = {each["metadata"]["name"] for each in of_kind(objects, "Service")}
    for each in of_kind(objects, "StatefulSet"):
        assert each["spec"]["serviceName"] in services


def test_scaled_workloads_leave_their_number_to_the_scaler() -> None:
    made = overlay("production")
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(made, "ScaledObject")}
    counted = {
        each["metadata"]["name"]
        for each in of_kind(made, "StatefulSet")
        if "replicas" in each["spec"]
    }
    names = {each["metadata"]["name"] for each in of_kind(made, "StatefulSet")}
    assert scaled <= names
    assert counted == names - scaled == {"intake"}


def test_secrets_of_production_are_files_and_never_in_the_manifests() -> None:
    made = overlay("production")
    assert not list(of_kind(made, "Secret"))
    for name, pod, container in containers(made):
        assert container["ports"][0]["containerPort"] == HTTP_PORT if "ports" in container else True
        for variable in container["env"]:
            secret = variable["name"].endswith(("_SECRET", "_PASSWORD", "_KEY"))
            assert not secret, (name, variable["name"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claims = {"table"} if name == "router" else set()
        assert mounted == {volume["name"] for volume in pod["volumes"]} | claims, name
