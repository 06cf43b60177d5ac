"""`tongban`: operators' commands, and those that an installed distribution adds.

A distribution adds commands by an entry point of the group `tongban.commands`: a function that
takes the typer application. So production code never imports the devstack, and `tongban up` is
there where the devstack is installed.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from tongban_common.cli import topics

app = typer.Typer(
    name="tongban",
    help="Government services across provinces, at a bank-branch kiosk.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line. Exit code 2: a command or option that is not there."""
    topics.register(app)
    for entry_point in entry_points(group="tongban.commands"):
        entry_point.load()(app)
    app()
