"""Read YAML with line numbers, so that errors can name the line."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tongban_common.errors import CommonError


@dataclass(frozen=True, slots=True, order=True)
class CatalogueProblem:
    """One problem in one line of one file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class CatalogueError(CommonError):
    """Raised for unusable data; `problems` has every reason, with file and line."""

    def __init__(self, problems: Sequence[CatalogueProblem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


class LocatedDict(dict[Any, Any]):
    """A mapping that knows the line of each key."""

    line: int
    lines: dict[Hashable, int]


class LocatedList(list[Any]):
    """A sequence that knows the line of each element."""

    line: int
    lines: list[int]


class _Loader(yaml.CSafeLoader):
    """libyaml's parser with the safe constructors, and our own for mappings and sequences."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct as the library does, but name the line of an impossible date or number."""
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                None, None, str(error), node.start_mark
            ) from error


def _mapping(loader: _Loader, node: yaml.MappingNode) -> LocatedDict:
    result = LocatedDict()
    result.line = node.start_mark.line + 1
    result.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a word or a number", key_node.start_mark
            )
        if key in result:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key!r} stands here twice", key_node.start_mark
            )
        result[key] = loader.construct_object(value_node, deep=True)
        result.lines[key] = key_node.start_mark.line + 1
    return result


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> LocatedList:
    result = LocatedList(loader.construct_object(child, deep=True) for child in node.value)
    result.line = node.start_mark.line + 1
    result.lines = [child.start_mark.line + 1 for child in node.value]
    return result


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)


def read(path: Path, name: str) -> LocatedDict:
    """Read a file whose top level is a mapping; problems call it `name`.

    Raises:
        CatalogueError: the file is unreadable, not YAML, has a key twice, or is no mapping.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CatalogueError(
            [CatalogueProblem(name, 1, f"cannot be read: {error.strerror}")]
        ) from error
    try:
        content = yaml.load(raw, Loader=_Loader)  # noqa: S506 - derives from CSafeLoader
    except yaml.reader.ReaderError as error:
        line = raw.count(b"\n", 0, error.position) + 1
        raise CatalogueError(
            [CatalogueProblem(name, line, f"not UTF-8 text: {error.reason}")]
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise CatalogueError([CatalogueProblem(name, line, str(error.problem))]) from error
    except yaml.YAMLError as error:
        raise CatalogueError([CatalogueProblem(name, 1, str(error))]) from error
    if not isinstance(content, LocatedDict):
        raise CatalogueError([CatalogueProblem(name, 1, "the top level must be a mapping")])
    return content


def line_of(content: Any, location: Sequence[Any]) -> int:
    """Return the line of the value at `location` (keys and indexes, as in pydantic's errors).

    For a location that is not in the file (a missing key, a default) it is the line of the last
    ancestor that is.
    """
    line: int = getattr(content, "line", 1)
    for step in location:
        known = (isinstance(content, LocatedDict) and step in content) or (
            isinstance(content, LocatedList) and isinstance(step, int) and step < len(content)
        )
        if not known:
            break
        line = content.lines[step]
        content = content[step]
    return line
