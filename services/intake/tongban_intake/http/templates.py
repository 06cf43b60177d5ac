"""Load the templates of a package of pages."""

from __future__ import annotations

import jinja2


def templates_of(package: str) -> jinja2.Environment:
    """Return an environment that escapes every value, and fails for one that is not given."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
