"""Generate docs/reference/log-events.md: every event that the code logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tongban_ops.event_documents.markdown import table, ticked
from tools.reference.code import NOTE, PACKAGES, ROOT, sources

LEVELS = ("debug", "info", "warning", "error", "critical")
TEXTS = Path(__file__).with_name("events.yaml")
"""This file says what each event means and what an operator does about it."""
_ENDS_THE_PROCESS = "die"
"""The router's function that logs its first argument as critical, and ends the process."""
_SPREAD = {
    "describe_batch": ("topic", "partition", "base_offset", "first_offset", "next_offset", "error"),
    "describe_error": ("error", "where"),
    "kind_and_place": ("error", "place"),
}
"""Fields that a function returns for `**`."""
_SECTIONS = {
    "common": "Every process",
    "kafka": "Kafka clients",
    "intake": "Intake",
    "router": "The router",
    "connectors": "The connectors",
    "printing": "Printing",
    "notify": "Notify",
    "gateways": "The simulated gateways",
    "devices": "The simulated printers and SMS providers",
    "devstack": "The stack on a laptop",
}
_INTRODUCTION = """
Processes log to stderr, one JSON object a line. Every line has `event`, `level`, `at` (RFC 3339,
UTC), `service` and `instance`; a line about a request has `request_id`. The fields below come on
top. `exception` has the types and places of an exception and its causes, never their texts, which
may quote personal data. Lines of libraries (aiokafka, Faust, uvicorn) have free text in `event`.

The column "what to do" is empty where nothing has to be done.
"""


@dataclass(slots=True)
class LoggedEvent:
    """One event, with all levels and fields under which it is logged."""

    name: str
    levels: set[str] = field(default_factory=set)
    fields: dict[str, None] = field(default_factory=dict)
    places: dict[str, None] = field(default_factory=dict)

    def level(self) -> str:
        """Return its levels, the lowest first."""
        return " or ".join(level for level in LEVELS if level in self.levels)

    @property
    def is_alarming(self) -> bool:
        """Return True for warnings and what is worse."""
        return bool(self.levels & {"warning", "error", "critical"})


def logged(package: str) -> list[LoggedEvent]:
    """Return the events of a package, sorted by name."""
    events: dict[str, LoggedEvent] = {}
    for file in sources(package):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        aliases = dict(_aliases(tree))
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            name, levels = _name_and_levels(call, aliases)
            if not levels:
                continue
            event = events.setdefault(name, LoggedEvent(name))
            event.levels.update(levels)
            event.fields.update(dict.fromkeys(_fields(call)))
            place = file.relative_to(ROOT / PACKAGES[package]).as_posix()
            event.places[place] = None
    return sorted(events.values(), key=lambda event: event.name)


def _aliases(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """Yield the names that a module gives to methods of its logger, with their levels."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.IfExp(body=body, orelse=other)):
                methods = [each for each in (body, other) if isinstance(each, ast.Attribute)]
                levels = {each.attr for each in methods if _is_logger(each.value)}
                if levels:
                    yield name, levels


def _name_and_levels(call: ast.Call, aliases: dict[str, set[str]]) -> tuple[str, set[str]]:
    """Return the event that a call logs and its levels; no levels if the call logs nothing."""
    match call:
        case ast.Call(
            func=ast.Attribute(attr="log", value=logger),
            args=[level, ast.Constant(value=str(name)), *_],
        ) if _is_logger(logger):
            constants = {node.attr for node in ast.walk(level) if isinstance(node, ast.Attribute)}
            return name, {each.lower() for each in constants if each.lower() in LEVELS}
        case ast.Call(
            func=ast.Attribute(attr=level, value=logger), args=[ast.Constant(value=str(name)), *_]
        ) if level in LEVELS and _is_logger(logger):
            return name, {level}
        case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(name)), *_]) if (
            function == _ENDS_THE_PROCESS
        ):
            return name, {"critical"}
        case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(name)), *_]):
            return name, aliases.get(function, set())
    return "", set()


def _is_logger(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("log", "_log")
        case ast.Call(func=ast.Attribute(attr="get_logger")):
            return True
    return False


def _fields(call: ast.Call) -> Iterator[str]:
    if isinstance(call.func, ast.Name) and call.func.id == _ENDS_THE_PROCESS:
        yield from ("topic", "text", *_SPREAD["describe_error"])
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "self._log":
        yield from ("order_id", "kiosk_id")
    for keyword in call.keywords:
        if keyword.arg == "exc_info":
            yield "exception"
        elif keyword.arg is not None:
            yield keyword.arg
        else:
            for node in ast.walk(keyword.value):
                if isinstance(node, ast.Call):
                    yield from _SPREAD[ast.unparse(node.func)]


def texts() -> dict[str, dict[str, str]]:
    """Return `means` and, where an operator can do something, `do`, by the event's name."""
    read: dict[str, dict[str, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return read


def _linked(text: str) -> str:
    """Turn paths of pages into links."""
    return re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", text)


def events_page() -> str:
    """Return the page."""
    known = texts()
    parts = ["# Log events\n", NOTE, _INTRODUCTION]
    for package, title in _SECTIONS.items():
        rows = []
        for event in logged(package):
            text = known.get(event.name, {})
            rows.append(
                (
                    f"`{event.name}`",
                    event.level(),
                    ticked(event.fields),
                    _linked(text.get("means", "")),
                    _linked(text.get("do", "")),
                    ticked(event.places),
                )
            )
        if rows:
            heads = ["event", "level", "fields", "meaning", "what to do", "logged in"]
            parts += [
                f"## {title}\n",
                f"Files are below `{PACKAGES[package]}`.\n",
                table(heads, rows),
            ]
    return "\n".join(parts)
