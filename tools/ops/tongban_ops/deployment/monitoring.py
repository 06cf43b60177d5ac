"""Wrap the alert rules and dashboards of deploy/observability for the Prometheus operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def prometheus_rules(observability: Path) -> list[dict[str, Any]]:
    """Return a PrometheusRule for each file of alert rules; one without groups if there is none."""
    files = sorted((observability / "prometheus" / "rules").glob("*.yaml"))
    if not files:
        return [_rule("tongban", {"groups": []})]
    return [
        _rule(f"tongban-{file.stem}", yaml.safe_load(file.read_text("utf-8"))) for file in files
    ]


def _rule(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "tongban"}},
        "spec": spec,
    }


def dashboards(observability: Path) -> list[dict[str, Any]]:
    """Return the kustomization that makes a ConfigMap of each dashboard, which Grafana's sidecar
    finds by its label."""
    files = sorted((observability / "grafana" / "dashboards").glob("*.json"))
    made = [
        {
            "name": f"dashboard-{file.stem}",
            "files": [str(file.relative_to(observability))],
            "options": {"labels": {"grafana_dashboard": "1"}},
        }
        for file in files
    ]
    return [
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "generatorOptions": {"disableNameSuffixHash": True},
            "configMapGenerator": made,
        }
    ]
