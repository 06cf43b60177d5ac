"""Make the page of each topic, and the page that lists all topics."""

from __future__ import annotations

from collections.abc import Iterator

from tongban_common.events import MODELS
from tongban_common.events.models import FieldClass
from tongban_common.events.models.base import DATA_CLASS, UNIT
from tongban_common.topics import ANALYSTS, PROVINCES, DataClass
from tongban_ops.event_documents.examples import example
from tongban_ops.event_documents.families import Family, families, groups_of
from tongban_ops.event_documents.markdown import anchor, one_line, table, ticked
from tongban_ops.event_documents.messages import STATES, first_sentence
from tongban_ops.event_documents.schemas import Schema, plain_schema

NOTE = (
    "<!-- Made by `tongban events describe` from the registry of topics and the models: edit those "
    "instead. -->\n"
)
_INTRODUCTION = """
The registry `tongban_common.topics` names every topic. `tongban topics apply` creates them as they
stand here, and the accounts, permissions and network policies of a deployment follow from the same
registry (`tongban deployment write`). A `*` stands for the code of a province (GB/T 2260): there is
one such topic for each of the {provinces}. [The same in AsyncAPI](../asyncapi.yaml);
[how to read them](../index.md).

| data class of a topic | meaning |
| --- | --- |
{classes}
"""
_HEADS = ["topic", "key", "partitions", "kept", "written by", "read by", "data"]
_FIELD_HEADS = ["field", "type", "unit", "data class", "meaning"]


def list_page() -> str:
    """Return the page that lists all topics."""
    classes = "\n".join(f"| {each.name.lower()} | {each.value} |" for each in DataClass)
    introduction = _INTRODUCTION.format(classes=classes, provinces=len(PROVINCES))
    rows = (_row(each) for each in families())
    return "\n".join(["# Topics\n", NOTE, introduction, table(_HEADS, rows)])


def topic_page(family: Family) -> str:
    """Return the page of one topic."""
    parts = [f"# {family.name}\n", NOTE, f"{family.text}\n", table(["", ""], _facts(family))]
    if family.topic.types:
        parts.extend(_events(family))
    elif (state := STATES.get(family.topic.name)) is not None:
        parts.extend(_state(state.model.__doc__, state.schema()))
    else:
        parts.append("Its records have no published schema: only its readers understand them.\n")
    return "\n".join(parts)


def _row(family: Family) -> Iterator[str]:
    yield f"[`{family.name}`]({family.slug}.md)"
    yield family.topic.key
    yield str(family.topic.partitions)
    yield family.kept
    yield ", ".join(family.writers)
    yield ", ".join(family.readers)
    yield family.topic.data.name.lower()


def _facts(family: Family) -> Iterator[tuple[str, str]]:
    topic = family.topic
    yield "written by", ", ".join(family.writers)
    yield "read by", ", ".join(_reader(each) for each in family.readers)
    yield "analysts", "may read it" if ANALYSTS in topic.readers else "may not read it"
    yield "key", topic.key
    yield "partitions", str(topic.partitions) + (" each" if family.of_provinces else "")
    yield "kept", family.kept
    yield "clean-up policy", f"`{family.cleanup}`"
    yield "timestamp", "the broker's clock" if topic.append_time else "the writer's clock"
    yield (
        "data class",
        f"{topic.data.name.lower()}: {topic.data.value.partition(': ')[2]}".rstrip(": "),
    )


def _reader(name: str) -> str:
    groups = groups_of(name)
    return f"{name} (group {ticked(groups)})" if groups else name


def _events(family: Family) -> Iterator[str]:
    known: dict[str, Schema] = {}
    for event_type in family.topic.types:
        model = MODELS[event_type]
        schema = plain_schema(model)
        known.update(schema.get("$defs", {}))
        yield f"## {model.__name__}\n"
        yield f"`{event_type}`: {first_sentence(model.__doc__)}\n"
        yield (
            f"Written by {', '.join(family.writers_of(event_type))}. "
            f"[JSON Schema](../schemas/{event_type}.json).\n"
        )
        yield table(_FIELD_HEADS, _fields(schema, known))
        yield "An example, with its headers:\n"
        yield f"```json\n{example(family, event_type).as_json()}```\n"
    yield from _objects(known)
    yield table(
        ["data class of a field", "meaning"], ((each.value, each.meaning) for each in FieldClass)
    )


def _objects(known: dict[str, Schema]) -> Iterator[str]:
    objects = {name: each for name, each in sorted(known.items()) if each["type"] == "object"}
    if objects:
        yield "## Objects within them\n"
    for name, schema in objects.items():
        yield f"### {name}\n\n{first_sentence(schema.get('description'))}\n"
        yield table(_FIELD_HEADS, _fields(schema, known))


def _state(described: str | None, schema: Schema) -> Iterator[str]:
    yield f"A record is {schema['title']} as JSON, and no CloudEvent. {first_sentence(described)}\n"
    known = schema.get("$defs", {})
    yield table(_FIELD_HEADS, _fields(schema, known))
    for name, part in sorted(known.items()):
        if part["type"] == "object":
            yield f"### {name}\n\n{first_sentence(part.get('description'))}\n"
            yield table(_FIELD_HEADS, _fields(part, known))


def _fields(schema: Schema, known: dict[str, Schema]) -> Iterator[tuple[str, ...]]:
    for name, type_, field in _typed(schema, known):
        yield name, type_, field.get(UNIT, ""), field[DATA_CLASS], one_line(field["description"])


def _typed(schema: Schema, known: dict[str, Schema]) -> Iterator[tuple[str, str, Schema]]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in required else " (optional)"
        yield f"`{name}`", type_in_words(field, known) + optional, field


def type_in_words(field: Schema, known: dict[str, Schema]) -> str:
    """Return a JSON Schema's type in words: `string`, `list of Sealed`, `` one of `a`, `b` ``."""
    match field:
        case {"$ref": str(reference)}:
            name = reference.rsplit("/", 1)[-1]
            plain = known[name]["type"] != "object"
            words = type_in_words(known[name], known) if plain else f"[{name}](#{anchor(name)})"
        case {"anyOf": list(choices)}:
            words = " or ".join(type_in_words(each, known) for each in choices)
        case {"enum": list(values)}:
            words = f"one of {ticked(str(each) for each in values)}"
        case {"const": value}:
            words = f"`{value}`"
        case {"type": "array", "items": dict(items)}:
            words = f"list of {type_in_words(items, known)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            words = f"map of {type_in_words(values, known)}"
        case {"type": str(plain_type), "format": str(form)}:
            words = f"{plain_type} ({form})"
        case {"type": str(plain_type)}:
            words = plain_type
        case _:
            words = "any"
    return words
