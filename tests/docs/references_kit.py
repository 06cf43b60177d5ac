"""Find references in Markdown pages, docstrings and comments, and say which of them lead nowhere.

Everything is read and parsed, nothing is imported: the check takes seconds and needs no service.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("libs", "services", "tools", "tests", "bench", "examples")
_SKIPPED = {
    ".venv",
    ".venv-bench",
    ".venv-deploy",
    "node_modules",
    "build",
    "out",
    "__pycache__",
    "site",
}
_KINDS = "py|md|yaml|yml|json|toml|typ|sh|html|js|css|wsdl|lock|in"

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_TICKED = re.compile(r"`([^`\n]+)`")
_ADR = re.compile(r"\bADRs?\s+(\d{4}(?:(?:,| and)\s+\d{4})*)")
_ISSUE = re.compile(r"(?<![\w&/])#\d{2,}\b")
_PATH = re.compile(rf"(?:[\w.@-]+/)+[\w.*-]+\.(?:{_KINDS})|[\w-]+\.(?:py|md)")
_ROOTED = re.compile(
    rf"(?<![\w/.])(?:docs|libs|services|tools|tests|catalogue|bench|examples)"
    rf"/[\w./-]*\w\.(?:{_KINDS})\b"
)
_DOTTED = re.compile(r"tongban_\w+(?:\.\w+)+")
_PRIVATE = re.compile(r"\b(?:DESIGN(?:\.md)?|CONTRACT\.md|REVIEW\.md|STYLE\.md)\b|\bpromises? \d")
_CANDIDATE = re.compile(
    rf"ADRs?\s|[^\w]#\d\d|{_PRIVATE.pattern}|{_ROOTED.pattern}|`{_DOTTED.pattern}|`(?:{_PATH.pattern})`"
)
"""Matches a file that may hold a reference; parsing all files would take ten times as long."""
_PROJECTS = {
    "KEDA",
    "faust-streaming",
    "robinhood/faust",
    "aiokafka",
    "aio-libs/aiokafka",
    "cramjam",
    "mode",
}


@dataclass(frozen=True, slots=True)
class Text:
    """One piece of prose: a page, a docstring, or comment lines that follow each other."""

    file: Path
    line: int
    words: str


def pages() -> list[Path]:
    """Return all Markdown files of the project."""
    return sorted(each for each in _files() if each.suffix == ".md")


def modules() -> list[Path]:
    """Return all Python files of the project."""
    return sorted(
        each
        for each in _files()
        if each.suffix == ".py" and each.relative_to(ROOT).parts[0] in CODE
    )


def texts(file: Path) -> Iterator[Text]:
    """Yield the prose of a file: a page as a whole, of code its docstrings and comments."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        yield Text(file, 1, source)
        return
    if not _CANDIDATE.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            value = node.value.value
            if isinstance(value, str):
                yield Text(file, node.lineno, value)
    start, end, lines = 0, -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != end + 1:
            if lines:
                yield Text(file, start, "\n".join(lines))
            start, lines = token.start[0], []
        end = token.start[0]
        lines.append(token.string.removeprefix("#").strip())
    if lines:
        yield Text(file, start, "\n".join(lines))


def dangling(text: Text) -> Iterator[str]:
    """Yield `line: complaint` for each reference in the text that leads nowhere."""
    for offset, complaint in _found(text):
        yield f"{text.line + text.words.count(chr(10), 0, offset)}: {complaint}"


def _found(text: Text) -> Iterator[tuple[int, str]]:
    words = text.words
    is_page = text.file.suffix == ".md"
    prose = _FENCE.sub(_blank, words) if is_page else words
    for found in _PRIVATE.finditer(words):
        yield found.start(), f"{found[0]!r} is nothing that a reader of this repository has"
    for found in _ADR.finditer(words):
        for number in re.findall(r"\d{4}", found[1]):
            if not list((ROOT / "docs" / "adr").glob(f"{number}-*.md")):
                yield found.start(), f"there is no ADR {number}"
    for found in _ISSUE.finditer(_LINK.sub(_blank, prose)):
        before = prose[max(0, found.start() - 80) : found.start()].split()
        if not before or before[-1].strip("(,;`") not in _PROJECTS:
            yield found.start(), f"{found[0]} names no project"
    for found in _ROOTED.finditer(words):
        if not (ROOT / found[0]).exists():
            yield found.start(), f"there is no {found[0]}"
    for found in _TICKED.finditer(prose):
        yield from ((found.start(), each) for each in _of_code(text.file, found[1]))
    if is_page:
        for found in _LINK.finditer(prose):
            target = found[1] or found[2]
            yield from ((found.start(), each) for each in _of_link(text.file, target))


def _blank(found: re.Match[str]) -> str:
    """Return as many blanks as were found, so that offsets stay what they are."""
    return re.sub(r"[^\n]", " ", found[0])


def _of_code(file: Path, ticked: str) -> Iterator[str]:
    if _DOTTED.fullmatch(ticked.removesuffix("()")):
        if not _resolves(ticked.removesuffix("()")):
            yield f"`{ticked}` is no module and no attribute of one"
    elif (
        _PATH.fullmatch(ticked)
        and "*" not in ticked
        and not _is_generated(ticked)
        and not (file.parent / ticked).exists()
        and f"/{ticked}" not in _endings()
    ):
        yield f"there is no file `{ticked}`"


def _of_link(page: Path, target: str) -> Iterator[str]:
    if re.match(r"[a-z]+:", target):
        return
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        yield f"the link to {target} leads nowhere"
    elif anchor and file.suffix == ".md" and anchor not in _anchors(file):
        yield f"the link to {target}: there is no such heading"


@cache
def _files() -> tuple[Path, ...]:
    tops = [each for each in ROOT.iterdir() if each.name not in _SKIPPED and each.name != ".git"]
    found = [each for each in tops if each.is_file()]
    for top in tops:
        if top.is_dir():
            # The checkout's own directory may have any name.
            found += (
                each
                for each in top.rglob("*.*")
                if not _SKIPPED.intersection(each.relative_to(ROOT).parts)
            )
    return tuple(found)


@cache
def _endings() -> frozenset[str]:
    """Return every path, and every ending of one: pages leave out the first parts."""
    endings = set[str]()
    for file in _files():
        parts = file.relative_to(ROOT).parts
        endings.update("/" + "/".join(parts[start:]) for start in range(len(parts)))
    return frozenset(endings)


def _is_generated(path: str) -> bool:
    """Return True for files that exist only once something has run."""
    return path.startswith(("out/", "build/", "site/", "/")) or path.partition("/")[0].isupper()


@cache
def _anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub and MkDocs give to the page's headings."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} +(.+?) *$", prose, re.M)
    plain = (re.sub(r"[^\w\- ]", "", each.lower()) for each in headings)
    return frozenset(each.replace(" ", "-") for each in plain)


def _resolves(name: str) -> bool:
    """Return True if the dotted name is a module of the project or an attribute in one."""
    package, *rest = name.split(".")
    place = next((each for each in _files() if each.parts[-2:] == (package, "__init__.py")), None)
    if place is None:
        return False
    directory = place.parent
    while rest:
        if (directory / rest[0]).is_dir():
            directory = directory / rest.pop(0)
            place = directory / "__init__.py"
        elif (module := directory / f"{rest[0]}.py").exists():
            place = module
            rest.pop(0)
            break
        else:
            break
    return not rest or (place.exists() and _has(ast.parse(place.read_text("utf-8")).body, rest))


def _has(body: list[ast.stmt], names: list[str]) -> bool:
    first, *more = names
    for node in body:
        match node:
            case ast.ClassDef(name=name, body=members) if name == first:
                return not more or _has(members, more)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name == first:
                return not more
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                if any((each.asname or each.name) == first for each in imported):
                    return True
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(each, ast.Name) and each.id == first for each in targets):
                    return not more
    return False
