"""Names places in the runtime at which a test may interrupt the process.

`on_reached` sets the function that is called with the name of each place that is reached. Without
one a place costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def on_reached(hook: Callable[[str], None] | None) -> None:
    """Call `hook` with the name of every place that is reached from now on; None ends that."""
    global _hook  # noqa: PLW0603 - one for the process, as the environment variable behind it
    _hook = hook


def reached(name: str) -> None:
    """Call the hook, if there is one, with the name of this place."""
    if _hook is not None:
        _hook(name)
