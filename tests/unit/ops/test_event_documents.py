"""The published documents of the event topics: fresh, valid, and no document that lies passes."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from tests.published_events_kit import (
    PUBLISHED,
    PlainRecord,
    PublishedDocument,
    UndocumentedError,
    published,
)
from tongban_common.events import MODELS, Event, decode, encode
from tongban_common.events.models.base import FieldClass
from tongban_common.topics import ANALYSTS, TOPICS, DataClass
from tongban_ops.cli.events import events
from tongban_ops.event_documents.asyncapi import asyncapi_document
from tongban_ops.event_documents.examples import bodies
from tongban_ops.event_documents.families import families, texts
from tongban_ops.event_documents.files import differing
from tongban_ops.event_documents.registers import register_fields
from tongban_ops.event_documents.schemas import event_schema

DOCUMENTS = PUBLISHED.parent
Change = Callable[[dict[str, Any]], None]


def golden(event_type: str) -> PlainRecord:
    """The published example of a type, as a record."""
    found = json.loads((DOCUMENTS / "examples" / f"{event_type}.json").read_text("utf-8"))
    value = json.dumps(found["value"], ensure_ascii=False).encode()
    headers = [(name, text.encode()) for name, text in found["headers"].items()]
    return PlainRecord(found["topic"], found["key"].encode(), value, headers)


@cache
def document() -> PublishedDocument:
    """The published document, for tests that do not change it."""
    return PublishedDocument.load()


def parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema and the objects within it."""
    found = [schema, *schema.get("$defs", {}).values()]
    return [each for each in found if "properties" in each]


def test_documents_are_what_the_registry_says() -> None:
    assert differing(DOCUMENTS) == [], "run `tongban events describe` and commit docs/events"


def test_topic_every_one_has_its_text_and_no_other_has() -> None:
    assert set(texts()) == {each.name for each in families()}


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_schema_is_valid_and_describes_every_field(event_type: str) -> None:
    schema = event_schema(event_type)
    jsonschema_rs.meta.validate(schema)
    for part in parts(schema):
        for name, field in part["properties"].items():
            assert field["description"].endswith("."), name
            assert field["x-data-class"] in {"none", "pseudonymous", "personal", "sealed"}, name
            assert field.get("type") != "integer" or field["x-unit"], name


def test_schema_of_asyncapi_every_one_is_valid_in_its_dialect() -> None:
    schemas = asyncapi_document()["components"]["schemas"]
    assert len(schemas) > len(MODELS)
    for schema in schemas.values():
        jsonschema_rs.meta.validate(
            {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
        )


def test_register_describes_every_field_and_no_other() -> None:
    schemas = asyncapi_document()["components"]["schemas"]
    for model, schema in schemas.items():
        for name, field in schema.get("properties", {}).items():
            assert field.get("description", "").endswith("."), (model, name)
            assert field.get("x-data-class") in set(FieldClass), (model, name)
            is_number = field.get("type") in {"integer", "number"}
            assert not is_number or field.get("x-unit"), (model, name)
    for model, fields in register_fields().items():
        assert set(fields) == set(schemas[model]["properties"]), model


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_data_class_of_topic_covers_that_of_its_fields(event_type: str) -> None:
    classes = {
        field["x-data-class"]
        for part in parts(event_schema(event_type))
        for field in part["properties"].values()
    }
    for topic in TOPICS.values():
        if event_type in topic.types:
            assert topic.data is not DataClass.OPERATIONAL or classes == {"none"}
            assert topic.data is DataClass.SEALED or "sealed" not in classes, topic.name


def test_personal_field_on_a_topic_of_analysts_is_no_longer_written() -> None:
    readable = {
        each for topic in TOPICS.values() if ANALYSTS in topic.readers for each in topic.types
    }
    assert len(readable) >= 5
    for event_type in readable:
        for part in parts(event_schema(event_type)):
            for name, field in part["properties"].items():
                if field["x-data-class"] == "personal":
                    assert field["description"].startswith("No longer written"), name


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_example_is_an_event_as_a_service_writes_it(event_type: str) -> None:
    record = golden(event_type)
    event = decode(record.value, record.headers)
    assert event.type == event_type
    value, headers = encode(event)
    assert (json.loads(value), dict(headers)) == (
        json.loads(record.value or b""),
        dict(record.headers),
    )
    # The model ignores nothing of examples.yaml: a misspelt field would be missing here.
    assert bodies()[event_type].keys() <= json.loads(value).keys()


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_example_is_as_the_published_document_says(event_type: str) -> None:
    assert document().check(golden(event_type)) == MODELS[event_type].__name__


def test_document_names_every_event_type() -> None:
    assert document().event_types == set(MODELS)


def _schema(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document["components"]["schemas"][name]  # type: ignore[no-any-return]


def _renamed(schema: str, old: str, new: str) -> Change:
    """Rename a property, and in `required` too."""

    def change(document: dict[str, Any]) -> None:
        found = _schema(schema)(document)
        found["properties"][new] = found["properties"].pop(old)
        found["required"] = [new if each == old else each for each in found.get("required", [])]

    return change


def _header(change: Callable[[dict[str, Any]], Any]) -> Change:
    def changed(document: dict[str, Any]) -> None:
        change(document["components"]["messageTraits"]["CloudEventsKafkaBinary"]["headers"])

    return changed


def _message(change: Callable[[dict[str, Any]], Any]) -> Change:
    return lambda document: change(document["components"]["messages"]["PrintReported"])


LIES: dict[str, Change] = {
    "a required field has another name": _renamed("PrintReported", "order_id", "order"),
    "an optional field has another name": _renamed("PrintReported", "document", "paper"),
    "a field of an object has another name": _renamed("DocumentRef", "pages", "sheets"),
    "a field has another type": lambda document: _schema("PrintReported")(document)["properties"][
        "seq"
    ].update(type="string"),
    "a field that is always missing is required": lambda document: _schema("PrintReported")(
        document
    )["required"].append("reason"),
    "an enum lacks a value": lambda document: _schema("PrintStatus")(document)["enum"].remove(
        "printed"
    ),
    "a time is no time": lambda document: _schema("PrintReported")(document)["properties"][
        "kiosk_id"
    ].update(format="date-time"),
    "a header has another name": _header(
        lambda headers: headers["properties"].update(ce_when=headers["properties"].pop("ce_time"))
    ),
    "a header that is never written is required": _header(
        lambda headers: headers["required"].append("ce_dataschema")
    ),
    "a header is missing": _header(lambda headers: headers["properties"].pop("traceparent")),
    "the type is another": _message(
        lambda message: message["headers"]["properties"]["ce_type"].update(const="a.b.v1")
    ),
    "another service writes it": _message(
        lambda message: message["headers"]["properties"]["ce_source"].update(pattern="^x$")
    ),
    "the key has another form": _message(
        lambda message: message["bindings"]["kafka"]["key"].update(pattern="^o-")
    ),
    "the key is another field": _message(
        lambda message: message.update({"x-key-location": "$message.payload#/order_id"})
    ),
    "the topic lacks the message": lambda document: document["channels"]["documents.printed"][
        "messages"
    ].pop("PrintReported"),
    "the topic is missing": lambda document: document["channels"].pop("documents.printed"),
}


@pytest.mark.parametrize("lie", LIES)
def test_document_that_lies_is_refused_by_a_record(lie: str) -> None:
    truth = published()
    changed = copy.deepcopy(truth)
    LIES[lie](changed)
    assert changed != truth
    record = golden("tongban.print.reported.v1")
    document().check(record)
    with pytest.raises(UndocumentedError):
        PublishedDocument(changed).check(record)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": b"r-1"},
        {"key": None},
        {"value": None},
        {"value": b"\xff"},
        {"value": b"{}"},
        {"headers": []},
        {"topic": "requests.unheard-of"},
    ],
    ids=str,
)
def test_record_that_is_not_documented_is_refused(wrong: dict[str, Any]) -> None:
    record = golden("tongban.print.reported.v1")
    with pytest.raises(UndocumentedError):
        document().check(PlainRecord(**{**vars(record), **wrong}))


def test_record_of_a_later_version_is_read_by_an_older_reader() -> None:
    """The document calls additional fields compatible: our own reader keeps to that."""
    record = golden("tongban.print.reported.v1")
    later = json.dumps({**json.loads(record.value or b""), "added_later": 1}).encode()
    assert isinstance(decode(later, [*record.headers, ("ce_later", b"1")]), Event)
    with pytest.raises(UndocumentedError, match="added_later"):
        document().check(PlainRecord(record.topic, record.key, later, record.headers))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DOCUMENTS, tmp_path / "events"))


def test_describe_writes_what_is_missing_and_removes_what_is_no_longer_made(written: Path) -> None:
    (written / "asyncapi.yaml").unlink()
    (written / "topics" / "gone.md").write_text("of a topic that was")
    (written / "index.md").write_text("by hand")
    run = CliRunner()
    checked = run.invoke(events, ["describe", "--to", str(written), "--check"])
    assert checked.exit_code == 1
    assert "asyncapi.yaml" in checked.stderr
    assert "topics/gone.md" in checked.stderr
    assert run.invoke(events, ["describe", "--to", str(written)]).exit_code == 0
    assert differing(written) == []
    assert not (written / "topics" / "gone.md").exists()
    assert (written / "index.md").read_text() == "by hand"


def test_describe_refuses_a_change_that_breaks_readers(written: Path) -> None:
    schema = written / "schemas" / "tongban.router.timer.v1.json"
    before = json.loads(schema.read_text("utf-8"))
    before["properties"]["reason"] = {"type": "string"}
    before["required"].append("reason")  # as if the model had lost it since
    schema.write_text(json.dumps(before), "utf-8")
    (written / "schemas" / "tongban.gone.v1.json").write_text("{}", "utf-8")
    refused = CliRunner().invoke(events, ["describe", "--to", str(written)])
    assert refused.exit_code == 1
    assert "tongban.router.timer.v1/reason: required by old readers, gone" in refused.stderr
    assert "tongban.gone.v1: it was published, and has no model any more" in refused.stderr
    assert json.loads(schema.read_text("utf-8")) == before
