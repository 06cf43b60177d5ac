"""Every module of tongban_common serves at least two services, or a service and the operators.

A distribution uses a module that it imports, the modules that define what it imports from a
package, and whatever those modules import in turn. The devstack does not count, since it may import
everything, also what stands in a service.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PACKAGES = {
    path.name: path
    for parent in ("libs", "services", "tools")
    for path in sorted((_ROOT / parent).glob("*/tongban_*"))
    if (path / "__init__.py").is_file()
}
_COMMON = "tongban_common"


def _modules(package: Path) -> dict[str, Path]:
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


_MODULES = _modules(_PACKAGES[_COMMON])


def _imported(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each imported module, with the name that is imported from it, if any; of a package that
    is imported as a whole, the names that the file takes from it."""
    tree = ast.parse(path.read_text())
    packages = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in _MODULES and _MODULES[whole].name == "__init__.py":
                    packages[alias.asname or alias.name] = whole
                yield node.module, alias.name
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in packages:
                yield packages[name], attribute


def _used(path: Path) -> set[str]:
    """Return the modules of tongban_common that define what this file imports."""
    return {
        defined
        for module, name in _imported(path)
        if module in _MODULES and (defined := _definer(module, name)) is not None
    }


def _definer(module: str, name: str | None) -> str | None:
    """Return the module that defines this name, also where a package only passes it on."""
    if f"{module}.{name}" in _MODULES:
        return f"{module}.{name}"
    path = _MODULES[module]
    if path.name != "__init__.py":
        return module
    return next((source for source, known in _imported(path) if known == name), None)


_IMPORTS = {module: _used(path) for module, path in _MODULES.items() if path.stem != "__init__"}


def _reached(modules: set[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in _IMPORTS and module not in reached:
            reached.add(module)
            waiting.extend(_IMPORTS[module])
    return reached


_USERS: dict[str, list[str]] = {module: [] for module in _IMPORTS}
for _name, _package in _PACKAGES.items():
    if _name not in (_COMMON, "tongban_devstack"):
        for _module in _reached(set().union(*map(_used, _package.rglob("*.py")))):
            _USERS[_module].append(_name)


@pytest.mark.parametrize("module", sorted(_USERS))
def test_module_of_common_serves_two_distributions(module: str) -> None:
    users = _USERS[module]
    assert len(users) >= 2, f"{module} is used by {users} alone: move it there"
