"""Name the processes of a deployment, and whom each of them reaches and serves.

The arrows between services are topics, so a process needs Kafka and no other process. What is left
is the document store, the outside world, and who may call in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tongban_common import topics

HTTP_PORT = 8080
"""The port of every process in a cluster: probes, metrics and, where it has one, its API."""


class Outside(StrEnum):
    """A party outside the cluster that a process calls, by the label its rule is known under."""

    GATEWAYS = "gateways"
    PRINTERS = "printers"
    PROVIDERS = "providers"


PORTS = {Outside.GATEWAYS: (443,), Outside.PRINTERS: (631,), Outside.PROVIDERS: (443,)}
"""TCP ports: HTTPS, and IPP (RFC 8010, also for IPPS)."""


@dataclass(frozen=True, slots=True)
class Process:
    """One kind of process; `account` is its user at the broker."""

    name: str
    account: str
    uses_store: bool
    calls: tuple[Outside, ...] = ()
    serves: bool = True
    """False if nothing calls it: a Job, whose metrics nobody reads."""
    called_from_outside: bool = False
    """True if kiosks or provinces call it through the ingress controller."""


PROCESSES = (
    Process("intake", topics.INTAKE, uses_store=True, called_from_outside=True),
    Process("router", topics.ROUTER, uses_store=False),
    Process(
        "connectors",
        topics.CONNECTORS,
        uses_store=True,
        calls=(Outside.GATEWAYS,),
        called_from_outside=True,
    ),
    Process("printing", topics.PRINTING, uses_store=True, calls=(Outside.PRINTERS,)),
    Process("notify", topics.NOTIFY, uses_store=True, calls=(Outside.PROVIDERS,)),
    Process("operators", topics.OPERATORS, uses_store=True, serves=False),
)
