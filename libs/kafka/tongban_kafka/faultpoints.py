"""Named places in the runtime at which a test may interrupt the process.

The package decides nothing about what happens there: `on_reached` sets the function that is called
with a place's name. Without one a passing costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def on_reached(hook: Callable[[str], None] | None) -> None:
    """Have `hook` called with the name of every place that is passed from now on."""
    global _hook  # noqa: PLW0603 - one for the process, as the environment variable behind it
    _hook = hook


def reached(name: str) -> None:
    """Mark a place."""
    if _hook is not None:
        _hook(name)
