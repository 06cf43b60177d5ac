"""Generate docs/reference/settings.md: every `TONGBAN_*` variable that the code reads."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from tongban_common.settings import (
    DEVELOPMENT_KEY_RING,
    DEVELOPMENT_SECRET,
    KAFKA_VARIABLES,
    CommonSettings,
    variable_of,
)
from tongban_connectors.settings import ConnectorSettings
from tongban_devstack.devices.settings import DeviceSettings
from tongban_facts.settings import FactsSettings
from tongban_intake.settings import IntakeSettings
from tongban_notify.settings import NotifySettings
from tongban_ops.event_documents.markdown import table
from tongban_printing.settings import PrintingSettings
from tongban_router.settings import RouterSettings
from tools.reference.code import NOTE, users

MODELS: dict[str, type[CommonSettings]] = {
    "intake": IntakeSettings,
    "router": RouterSettings,
    "connectors": ConnectorSettings,
    "printing": PrintingSettings,
    "notify": NotifySettings,
    "facts": FactsSettings,
    "gateways": CommonSettings,
    "devices": DeviceSettings,
}
"""The settings of each process, by its package."""
_TITLES = {
    "intake": "Intake",
    "router": "The router",
    "connectors": "The connectors",
    "printing": "Printing",
    "notify": "Notify",
    "facts": "The export of facts",
    "devices": "The simulated printers and SMS providers",
}
_NAMES = {"ops": "the `tongban` command", "devstack": "`tongban up`, `demo` and `load`"}
_UNITS = (
    (re.compile(r"_ms_per_page$"), "ms"),
    (re.compile(r"(_seconds|_s|stream_heartbeat|stream_grace)$"), "seconds"),
    (re.compile(r"_ms$"), "ms"),
    (re.compile(r"_days$"), "days"),
    (re.compile(r"_rate$"), "per second"),
    (re.compile(r"^body_limit$"), "bytes"),
)
_TYPES = {
    "str": "text",
    "SecretStr": "**secret**",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "BusinessClock": "clock",
    "QuietHours": "HH:MM-HH:MM",
    "tuple": "names, comma-separated",
}
_DEFAULTS = {
    "instance": "`HOSTNAME`, else the host's name",
    "clock": "real time",
}
"""Defaults that the process finds out when it starts."""
_READERS = {
    "token_secret_accepted": "intake",
    "pin_secret": "intake, the `tongban` command",
    "gateway_secret_accepted": "connectors",
}
"""Names who reads a setting that the code reads through a property of `CommonSettings`."""
OTHERS = (
    (
        "TONGBAN_OPERATOR",
        "the login name",
        "the `tongban` command",
        "who decides, as written into every decision; `--by` says otherwise",
    ),
    (
        "TONGBAN_INTAKE",
        "",
        "`tongban documents verify`, `tongban kiosk token`, `tongban load`",
        "base URL of intake",
    ),
    (
        "TONGBAN_KIOSK_KEY",
        "",
        "`tongban kiosk token`",
        "file of the kiosk's private key, PEM or JWK",
    ),
    ("TONGBAN_TOKEN", "", "`tongban load`", "bearer token of a kiosk of the intake under load"),
    (
        "TONGBAN_CATALOGUE",
        "`catalogue` in the working directory or above it",
        "every process and command that reads the catalogue's files",
        "directory with `provinces.yaml`, `holidays.yaml` and the items",
    ),
    (
        "TONGBAN_FAULTPOINTS",
        "",
        "every process, in tests alone",
        "places where the process kills, freezes or fails itself: `tongban_common.faultpoints`",
    ),
    ("TONGBAN_IMAGES", "`tongban`", "`docker-compose.yml`", "registry and prefix of the images"),
    ("TONGBAN_TAG", "`dev`", "`docker-compose.yml`", "tag of the images"),
    ("TONGBAN_MEMORY", "`384m`", "`docker-compose.yml`", "memory limit of a service's container"),
    ("TONGBAN_PRINTING_MEMORY", "`768m`", "`docker-compose.yml`", "memory limit of printing's"),
    (
        "TONGBAN_DOCKER_HOME",
        "`/var/lib/tongban-docker`",
        "`tools/with-docker`",
        "where a Docker daemon that it starts keeps images",
    ),
    (
        "TONGBAN_TEST_KAFKA_IMAGE",
        "",
        "tests",
        "image of the broker that tests start instead of the embedded one",
    ),
    (
        "TONGBAN_TEST_MONGO_IMAGE",
        "",
        "tests",
        "image of the store that tests start instead of the embedded one",
    ),
    (
        "TONGBAN_TEST_NODE",
        "",
        "`tests/deployment/test_node.py`",
        "1: start a real node as root, for a quarter of an hour",
    ),
    (
        "TONGBAN_TEST_PICTURES",
        "",
        "`tests/browser/test_shown_as.py`",
        "directory for a picture of each page",
    ),
    (
        "TONGBAN_FACTS",
        "`out/demo/facts`",
        "`examples/five_questions.ipynb`",
        "directory of the export that the notebook reads",
    ),
    ("TONGBAN_TEST_ITEMS", "all", "`tests/e2e/test_every_item.py`", "how many items are tried"),
)
"""Variables that are read elsewhere than in settings: name, default, who reads it, meaning."""
_INTRODUCTION = """
Every process reads its settings from environment variables, and from nothing else. Those of traces
have the names of OpenTelemetry's specification where it has one. A value that is
wrong ends the process at its start with exit code 78 and one line for each variable. A process
ignores variables that it does not know.

The processes are intake, router, connectors, printing and notify, and of the simulated outside
gateways and devices.

A **secret** is never logged. Where its default is public, only `TONGBAN_ENVIRONMENT=development`
accepts that: elsewhere a process that reads it does not start until it is set, to at least 32 bytes
and to another value than every other secret. [Kafka security](../kafka-security.md) and
[devices and keys](../devices-and-keys.md) say where they come from.

Each secret `NAME` may be given as `NAME_FILE` instead, the path of a file with it; line ends at its
end do not count, and both at once are refused
([secrets and certificates](../secrets-and-certificates.md)).
"""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a settings model, in words."""

    name: str
    kind: str
    default: str
    unit: str
    meaning: str

    def row(self, *more: str) -> tuple[str, ...]:
        """Return its row of the table."""
        return f"`{self.name}`", self.kind, self.default, self.unit, *more, self.meaning


def variable(field: str, info: FieldInfo) -> Variable:
    """Return the variable of a field."""
    meaning = info.description or ""
    kind = f"{_kind(info.annotation)}{_bounds(info)}"
    return Variable(variable_of(field), kind, _default(field, info), _unit(field), meaning)


def variables_of(model: type[CommonSettings]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields that a model adds to the common ones; of `CommonSettings`, all."""
    for field, info in model.model_fields.items():
        if model is CommonSettings or field not in CommonSettings.model_fields:
            yield field, info


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(each for each in get_args(annotation) if each is not type(None)))
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{each}`" for each in get_args(annotation))
    name = (get_origin(annotation) or annotation).__name__
    return _TYPES[name]


def _bounds(info: FieldInfo) -> str:
    words = []
    for each in info.metadata:
        match each:
            case Gt(gt=bound):
                words.append(f"> {bound}")
            case Ge(ge=bound):
                words.append(f"≥ {bound}")
            case Le(le=bound):
                words.append(f"≤ {bound}")
    choices = next(
        (_choices(each.pattern) for each in info.metadata if hasattr(each, "pattern")), ""
    )
    return choices or (" " + ", ".join(words) if words else "")


def _choices(pattern: str | None) -> str:
    """Return the words of a pattern like `^(a|b)$`."""
    found = re.fullmatch(r"\^\(([\w|]+)\)\$", pattern or "")
    return ": " + ", ".join(f"`{each}`" for each in found[1].split("|")) if found else ""


def _default(field: str, info: FieldInfo) -> str:
    value = info.default
    if field in _DEFAULTS:
        return _DEFAULTS[field]
    if isinstance(value, SecretStr):
        public = (DEVELOPMENT_SECRET, DEVELOPMENT_KEY_RING)
        return "public" if value.get_secret_value() in public else "set"
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def _unit(field: str) -> str:
    return next((unit for pattern, unit in _UNITS if pattern.search(field)), "")


def _readers(field: str) -> str:
    """Return which processes read a common setting."""
    name = variable_of(field)
    if name in KAFKA_VARIABLES.values():
        return "all that use Kafka, the `tongban` command"
    if field in ("environment", "tracing") or field.startswith("otel_"):
        return "all"
    if field == "store" or field.startswith("store_"):
        field, name = "store_address", "TONGBAN_STORE"
    elif field in _READERS:
        return _READERS[field]
    if any(field in model.SECRETS for model in MODELS.values()):
        return _with_secret(field)
    found = list(users(rf"settings\.{field}\b|\b{name}\b", (*MODELS, "ops")))
    if set(MODELS) <= set(found) or field == "log_level":
        return "all"
    return ", ".join(_NAMES.get(each, each) for each in found)


def _with_secret(field: str) -> str:
    needing = [name for name, model in MODELS.items() if field in model.SECRETS]
    also = users(rf"\b({field}|{variable_of(field)})\b", ("ops", "gateways"))
    return ", ".join([*needing, *(_NAMES.get(each, each) for each in also)])


def settings_page() -> str:
    """Return the page."""
    heads = ["variable", "type", "default", "unit", "meaning"]
    common = [
        variable(field, info).row(_readers(field)) for field, info in variables_of(CommonSettings)
    ]
    parts = [
        "# Settings\n",
        NOTE,
        _INTRODUCTION,
        "## Every process\n",
        table([*heads[:4], "read by", "meaning"], common),
    ]
    for process, title in _TITLES.items():
        rows = [variable(field, info).row() for field, info in variables_of(MODELS[process])]
        parts += [f"## {title}\n", table(heads, rows)]
    parts += [
        "## Commands and tests\n",
        "Commands read the settings of every process that they need (Kafka, store, clock, keys), "
        "and these:\n",
        table(
            ["variable", "default", "read by", "meaning"],
            ((f"`{name}`", *rest) for name, *rest in OTHERS),
        ),
    ]
    return "\n".join(parts)
