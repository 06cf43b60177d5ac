"""Accounts, permissions and network rules follow from the registries, and the committed manifests
from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tongban_common import topics
from tongban_common.topics import PROVINCES, TOPICS, DataClass
from tongban_ops.deployment import connectors, manifests, monitoring, scaling
from tongban_ops.deployment.access import Account, Pattern, Resource, accounts
from tongban_ops.deployment.network import network_policies
from tongban_ops.deployment.processes import PROCESSES
from tongban_ops.deployment.strimzi import kafka_topics, resource_name

MANIFESTS = Path(__file__).parents[3] / "deploy" / "k8s"
ACCOUNTS = {account.name: account for account in accounts(PROVINCES)}


def may(account: Account, operation: str) -> set[str]:
    """Return the topics on which an account may do this."""
    return {
        acl.name
        for acl in account.acls
        if acl.resource is Resource.TOPIC and operation in acl.operations
    }


def test_committed_manifests_are_what_the_registries_say() -> None:
    assert manifests.differing(MANIFESTS) == []


def test_changed_manifest_is_found(tmp_path: Path) -> None:
    k8s = tmp_path / "k8s"
    manifests.write(k8s)
    assert manifests.differing(k8s) == []
    changed = k8s / "components/strimzi/users.yaml"
    changed.write_text(changed.read_text().replace("Read", "All", 1))
    (k8s / "components/strimzi/topics.yaml").unlink()
    assert manifests.differing(k8s) == [
        "components/strimzi/topics.yaml", "components/strimzi/users.yaml"
    ]  # fmt: skip


def test_every_topic_has_an_account_that_writes_and_one_that_reads_it() -> None:
    services = [account for name, account in ACCOUNTS.items() if name != "topic-admin"]
    assert set().union(*(may(account, "Write") for account in services)) == set(TOPICS)
    assert set().union(*(may(account, "Read") for account in services)) == set(TOPICS)


@pytest.mark.parametrize("province", ["310000", "510000"])
def test_connectors_of_one_province_reach_nothing_of_another(province: str) -> None:
    account = ACCOUNTS[topics.connector_group(province)]
    own = {topics.province_requests(province), topics.dead_letter(account.name)}
    shared = {
        topics.REQUESTS_OUTCOMES, topics.CONNECTORS_STATE, topics.CONTROL_PROVINCES
    }  # fmt: skip
    assert may(account, "Describe") == own | shared
    groups = {acl.name for acl in account.acls if acl.resource is Resource.GROUP}
    assert groups == {account.name}


def test_analysts_read_and_write_nothing() -> None:
    analysts = ACCOUNTS[topics.ANALYSTS]
    assert may(analysts, "Write") == set()
    assert {acl.resource for acl in analysts.acls} == {Resource.TOPIC, Resource.GROUP}
    groups = [(acl.name, acl.pattern) for acl in analysts.acls if acl.resource is Resource.GROUP]
    assert groups == [("analysts-", Pattern.PREFIX)]
    assert not any(group.startswith("analysts-") for group in topics.GROUPS)
    assert topics.CONTROL_ASSISTANTS not in may(analysts, "Read")
    assert topics.CONTROL_OPTOUTS not in may(analysts, "Read")


def test_hashes_of_pins_are_read_by_intake_and_operators_alone() -> None:
    readers = {
        name for name, each in ACCOUNTS.items() if topics.CONTROL_ASSISTANTS in may(each, "Read")
    }
    assert readers == {topics.INTAKE, topics.OPERATORS}


def test_sealed_dead_letters_are_read_by_operators_alone() -> None:
    sealed = {
        name
        for name, topic in TOPICS.items()
        if name.endswith(topics.dead_letter("")) and topic.data is DataClass.SEALED
    }
    assert len(sealed) == len(topics.GROUPS)
    for name, account in ACCOUNTS.items():
        assert not may(account, "Read") & sealed or name == topics.OPERATORS


def test_no_account_may_do_everything_or_change_the_cluster() -> None:
    operations = {op for each in ACCOUNTS.values() for acl in each.acls for op in acl.operations}
    assert operations == {
        "Alter", "AlterConfigs", "Create", "Describe", "DescribeConfigs", "Read", "Write"
    }  # fmt: skip
    altering = {name for name, each in ACCOUNTS.items() if may(each, "Alter")}
    assert altering == {"topic-admin"}


def test_kafka_topic_names_are_valid_and_distinct() -> None:
    made = kafka_topics()
    names = [each["metadata"]["name"] for each in made]
    assert len(set(names)) == len(names) == len(TOPICS)
    assert {each["spec"].get("topicName", each["metadata"]["name"]) for each in made} == set(TOPICS)
    assert resource_name("a_B.c") == "a-b.c"


def test_every_process_reaches_kafka_and_only_its_own_outside() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in network_policies()}
    assert set(policies) == {"deny-all", "allow-dns", *(process.name for process in PROCESSES)}
    assert policies["deny-all"]["egress"] == policies["deny-all"]["ingress"] == []
    assert policies["operators"]["ingress"] == []
    ports = {
        name: sorted(port["port"] for rule in spec["egress"] for port in rule["ports"])
        for name, spec in policies.items()
    }
    assert ports == {
        "deny-all": [],
        "allow-dns": [53, 53],
        "intake": [9093, 27017],
        "router": [9093],
        "connectors": [443, 9093, 27017],
        "printing": [631, 9093, 27017],
        "notify": [443, 9093, 27017],
        "operators": [9093, 27017],
    }


def test_every_province_is_in_one_group_and_has_one_workload() -> None:
    grouped = [code for codes in connectors.province_groups().values() for code in codes]
    assert sorted(grouped) == sorted(PROVINCES)
    served = [_provinces(each) for each in connectors.by_province() if each["kind"] == STATEFUL]
    assert served == [[code] for code in PROVINCES]
    together = [_provinces(each) for each in connectors.in_groups() if each["kind"] == STATEFUL]
    assert sorted(code for codes in together for code in codes) == sorted(PROVINCES)


STATEFUL = "StatefulSet"


def _provinces(stateful_set: dict[str, Any]) -> list[str]:
    [container] = stateful_set["spec"]["template"]["spec"]["containers"]
    [codes] = [each["value"] for each in container["env"] if each["name"] == "TONGBAN_PROVINCES"]
    return str(codes).split(",")


def test_scaler_never_asks_for_more_replicas_than_the_group_has_partitions() -> None:
    made = [*scaling.services(), *scaling.connectors()]
    assert len(made) == 3 + len(PROVINCES)
    for each in made:
        group = each["metadata"]["annotations"]["tongban.io/consumer-group"]
        role = topics.GROUPS[group]
        # The busiest topic that a group consumes decides: dead letters and replays have one.
        consumed = [topic.partitions for topic in TOPICS.values() if role in topic.readers]
        spec = each["spec"]
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= max(consumed), group
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert [policy["value"] for policy in down["policies"]] == [1]
        assert down["stabilizationWindowSeconds"] >= 600


def test_scaler_of_connectors_counts_no_lag_while_the_province_is_closed() -> None:
    for each in scaling.connectors():
        code = each["metadata"]["name"].removeprefix("connectors-")
        [trigger] = each["spec"]["triggers"]
        waiting = f'(sum(tongban_connector_waiting{{province="{code}"}}) == bool 0)'
        assert trigger["metadata"]["query"].endswith(f"* {waiting}")


def test_alert_rules_and_dashboards_are_wrapped_as_they_are(tmp_path: Path) -> None:
    rules = tmp_path / "observability" / "prometheus" / "rules" / "flow.yaml"
    board = tmp_path / "observability" / "grafana" / "dashboards" / "flow.json"
    for file in (rules, board):
        file.parent.mkdir(parents=True)
    groups = {"groups": [{"name": "flow", "rules": [{"alert": "Lost", "expr": "lost > 0"}]}]}
    rules.write_text(json.dumps(groups))
    board.write_text("{}")
    [rule] = monitoring.prometheus_rules(tmp_path / "observability")
    assert (rule["metadata"]["name"], rule["spec"]) == ("tongban-flow", groups)
    [kustomization] = monitoring.dashboards(tmp_path / "observability")
    [made] = kustomization["configMapGenerator"]
    assert made["files"] == ["grafana/dashboards/flow.json"]
