"""Write the manifests that are generated, as files whose content never depends on the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tongban_common.topics import PROVINCES
from tongban_ops.deployment import connectors, monitoring, scaling
from tongban_ops.deployment.access import accounts
from tongban_ops.deployment.network import network_policies
from tongban_ops.deployment.strimzi import kafka_topics, kafka_users

_HEADER = "# Made by `tongban deployment write` from the registries; edit those, not this file.\n"


class _WithoutAliases(yaml.CSafeDumper):
    """Write a value that occurs twice twice: kubectl reads aliases, readers do not."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def manifests(directory: Path) -> dict[str, str]:
    """Return the text of every generated file by its path below `directory`, which is `deploy/k8s`.

    Alert rules and dashboards are read from `observability` beside it.
    """
    observability = directory.absolute().parent / "observability"
    documents: Mapping[str, Sequence[dict[str, Any]]] = {
        "components/strimzi/topics.yaml": kafka_topics(),
        "components/strimzi/users.yaml": kafka_users(accounts(PROVINCES)),
        "components/network-policies/policies.yaml": network_policies(),
        "components/keda/scaled-objects.yaml": scaling.services(),
        "components/monitoring/rules.yaml": monitoring.prometheus_rules(observability),
        "../observability/kustomization.yaml": monitoring.dashboards(observability),
        "connectors/by-province/workloads.yaml": connectors.by_province(),
        "components/keda-connectors/scaled-objects.yaml": scaling.connectors(),
        "connectors/in-groups/workloads.yaml": connectors.in_groups(),
    }
    return {path: _text(each) for path, each in documents.items()}


def _text(documents: Sequence[dict[str, Any]]) -> str:
    return _HEADER + yaml.dump_all(
        documents, Dumper=_WithoutAliases, sort_keys=False, explicit_start=True, width=100
    )


def differing(directory: Path) -> list[str]:
    """Return the paths of files below `directory` that are not what would be written."""
    return [
        path
        for path, text in manifests(directory).items()
        if not (directory / path).is_file() or (directory / path).read_text("utf-8") != text
    ]


def write(directory: Path) -> None:
    """Write all generated files below `directory`."""
    for path, text in manifests(directory).items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
