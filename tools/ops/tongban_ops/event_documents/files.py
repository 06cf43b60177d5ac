"""Write the published documents as files, whose content never depends on the machine."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tongban_common.events import MODELS
from tongban_ops.errors import OpsError
from tongban_ops.event_documents.asyncapi import asyncapi_text
from tongban_ops.event_documents.examples import example
from tongban_ops.event_documents.families import families
from tongban_ops.event_documents.pages import list_page, topic_page
from tongban_ops.event_documents.schemas import event_schema, incompatible

_SCHEMAS = "schemas"
_DIRECTORIES = {"topics": "md", "examples": "json"}
"""Directories that contain generated files alone, with the extension of these."""


class IncompatibleSchemaError(OpsError):
    """Raised if a published schema would be replaced by one that breaks readers. The text names the
    changes."""


@cache
def documents() -> dict[str, str]:
    """Return the text of every generated file by its path below docs/events."""
    made = {"asyncapi.yaml": asyncapi_text(), "topics/index.md": list_page()}
    for family in families():
        made[f"topics/{family.slug}.md"] = topic_page(family)
        for each in family.topic.types:
            made[f"examples/{each}.json"] = example(family, each).as_json()
    for event_type in MODELS:
        made[f"{_SCHEMAS}/{event_type}.json"] = (
            json.dumps(event_schema(event_type), ensure_ascii=False, indent=2) + "\n"
        )
    return made


def differing(directory: Path) -> list[str]:
    """Return the paths of files below `directory` that are missing, stale or no longer made."""
    made = documents()
    stale = [
        path
        for path, text in made.items()
        if not (directory / path).is_file() or (directory / path).read_text("utf-8") != text
    ]
    return stale + [path for path in _written(directory) if path not in made]


def write(directory: Path) -> None:
    """Write all files below `directory`, and remove those that are no longer made.

    Raises:
        IncompatibleSchemaError: a schema that is there could not be replaced without breaking
            readers. Nothing was written.
    """
    made = documents()
    if broken := breaking(directory):
        raise IncompatibleSchemaError("\n".join(broken))
    for path, text in made.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    for path in _written(directory):
        if path not in made:
            (directory / path).unlink()


def breaking(directory: Path) -> list[str]:
    """Return the changes of the models that a reader of a published schema could not read, each
    with the type of the event. A published type that has no model any more is one of them."""
    found = []
    for file in sorted((directory / _SCHEMAS).glob("*.json")):
        if file.stem not in MODELS:
            found.append(f"{file.stem}: it was published, and has no model any more")
            continue
        old = json.loads(file.read_text("utf-8"))
        found += [f"{file.stem}{each}" for each in incompatible(old, event_schema(file.stem))]
    return found


def _written(directory: Path) -> list[str]:
    """Return the paths of generated files that are below `directory`, except schemas."""
    return sorted(
        f"{name}/{file.name}"
        for name, extension in _DIRECTORIES.items()
        for file in (directory / name).glob(f"*.{extension}")
    )
