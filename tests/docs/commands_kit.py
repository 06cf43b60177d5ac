"""Find the commands that Markdown pages show, and say which of them nobody can run as written.

A command is parsed by the parser of the program that it names. No command runs.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from typer._click.exceptions import UsageError
from typer.main import get_command

from tests.docs.references_kit import ROOT
from tongban_ops.cli.group import LazyCommand
from tongban_ops.cli.main import application

_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```|((?:^(?: {4}|\t)[^\n]*\n)+)", re.M | re.S)
_TICKED = re.compile(r"`([^`\n]+)`")
_ASSIGNMENTS = re.compile(r"^(?:[A-Z_]+=(?:'[^']*'|\"[^\"]*\"|\S)*\s+)+")
_PROGRAM = re.compile(r"(?:[\w./]*/)?(tongban|make|python3?|docker|kubectl)(?= |$)")
_OPTION = re.compile(r"\[?(--?[a-z][\w-]*)")
_SKIPPED_PAGES = ("CHANGELOG.md", "docs/adr/", "docs/upstream/", "docs/reference/")
"""Pages about the past, or made from the code."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One command of a page. Complete ones are in code blocks; words in a sentence may be part."""

    page: Path
    line: int
    words: str
    is_complete: bool


def shown(page: Path, text: str | None = None) -> Iterator[Shown]:
    """Yield the commands of a page."""
    text = page.read_text(encoding="utf-8") if text is None else text
    if page.as_posix().removeprefix(f"{ROOT}/").startswith(_SKIPPED_PAGES):
        return
    for found in _BLOCK.finditer(text):
        # A backslash at the end of a line goes on with the next one.
        block = (found[1] or found[2]).replace("\\\n", "  ")
        line = text.count("\n", 0, found.start()) + 1
        for each in block.splitlines():
            if command := _command(each.strip().removeprefix("$ ")):
                yield Shown(page, line, command, is_complete=True)
    prose = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for found in _TICKED.finditer(prose):
        if command := _command(found[1]):
            line = prose.count("\n", 0, found.start()) + 1
            yield Shown(page, line, command, is_complete=False)


def complaint(command: Shown) -> str | None:
    """Return what is wrong with a command, or None."""
    program, *rest = shlex.split(command.words, comments=True)
    match Path(program).name, rest:
        case "tongban", _:
            return _of_tongban(rest, is_complete=command.is_complete)
        case "make", _:
            return _of_make(rest)
        case "python" | "python3", ["-m", module, *_]:
            return _of_python(module)
        case "docker", ["compose", *options]:
            return _of_compose(options)
        case "kubectl", _:
            return _of_kubectl(rest)
        case _:
            return None


def _command(text: str) -> str | None:
    text = _ASSIGNMENTS.sub("", text)
    return text if _PROGRAM.match(text) else None


@cache
def _tongban() -> Any:
    return get_command(application())


def _of_tongban(words: list[str], *, is_complete: bool) -> str | None:
    command: Any = _tongban()
    context = command.context_class(command, info_name="tongban")
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        name, *words = words
        if not name.islower():
            return None  # a placeholder: any sub-command
        names = name.split("|")
        unknown = [each for each in names if command.get_command(context, each) is None]
        if unknown:
            return f"`{context.command_path}` has no command {', '.join(unknown)}"
        below = command.get_command(context, names[0])
        command = below.resolved() if isinstance(below, LazyCommand) else below
        context = command.context_class(command, info_name=name, parent=context)
    words = words[: _end(words)]
    asks_for_help = {"--help", "--version"}.intersection(words)
    if is_complete and not asks_for_help and not any("[" in word for word in words):
        return _incomplete(command, context, words)
    return _unknown_option(command, context, words)


def _incomplete(command: Any, context: Any, words: list[str]) -> str | None:
    """Parse the arguments as the program does, and return its complaint."""
    if hasattr(command, "get_command"):
        return f"`{context.command_path}` takes a command"
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except UsageError as error:
        return f"`{context.command_path}`: {error.format_message()}"
    if rest:
        return f"`{context.command_path}` takes no {' '.join(rest)}"
    missing = [
        parameter.name
        for parameter in command.get_params(context)
        if parameter.required and not given.get(parameter.name)
    ]
    return f"`{context.command_path}` lacks {', '.join(missing)}" if missing else None


def _end(words: list[str]) -> int:
    """Return where the command ends in a line of a shell."""
    return next(
        (at for at, word in enumerate(words) if word in {"&", "&&", "|", ">", ";"}), len(words)
    )


def _unknown_option(command: Any, context: Any, words: list[str]) -> str | None:
    known = {
        name
        for parameter in command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    options = [found[1] for word in words if (found := _OPTION.match(word))]
    unknown = [option for option in options if option not in known]
    return f"`{context.command_path}` has no {', '.join(unknown)}" if unknown else None


@cache
def _targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([\w./-]+)(?: [\w./-]+)*:(?!=)", makefile, re.M))


def _of_make(words: list[str]) -> str | None:
    names = [word for word in words[: _end(words)] if "=" not in word and not word.startswith("-")]
    unknown = [name for name in names if name not in _targets() and not name.isupper()]
    return f"the Makefile has no {', '.join(unknown)}" if unknown else None


def _of_python(module: str) -> str | None:
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        is_there = False
    return None if is_there else f"there is no module {module}"


@cache
def _compose_file() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def _of_compose(words: list[str]) -> str | None:
    services: dict[str, Any] = _compose_file()["services"]
    profiles = {name for each in services.values() for name in each.get("profiles", ())}
    for option, value in pairwise(words):
        if option == "--profile" and value not in profiles:
            return f"docker-compose.yml has no profile {value}"
    verb = next((at for at, word in enumerate(words) if word in {"run", "logs", "exec"}), None)
    if verb is None:
        return None
    named = [word for word in words[verb + 1 :] if not word.startswith("-")]
    if named and named[0] not in services and not named[0].isupper():
        return f"docker-compose.yml has no service {named[0]}"
    if words[verb] == "run" and named[:1] == ["tongban"]:
        return _of_tongban(words[words.index("tongban", verb) + 1 :], is_complete=True)
    return None


def _of_kubectl(words: list[str]) -> str | None:
    missing = [
        value
        for option, value in pairwise(words)
        if option == "-k" and "/" in value and not value.endswith("/mine")
        if not (ROOT / value).is_dir()
    ]
    return f"there is no {', '.join(missing)}" if missing else None
