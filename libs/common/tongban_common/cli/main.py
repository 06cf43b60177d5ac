"""`tongban`: operators' commands, and those that an installed distribution adds.

A distribution adds commands by an entry point of the group `tongban.commands`: a function that
takes the typer application. So production code never imports the devstack, and `tongban up` is
there where the devstack is installed.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import entry_points

import structlog
import typer

from tongban_common.cli import (
    assistant,
    catalogue,
    dead_letters,
    kiosk,
    provinces,
    requests,
    topics,
)
from tongban_common.cli.group import Commands


def application() -> typer.Typer:
    """The command line with all that is installed."""
    app = typer.Typer(
        name="tongban",
        cls=Commands,
        help="Government services across provinces, at a bank-branch kiosk.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    topics.register(app)
    catalogue.register(app)
    kiosk.register(app)
    assistant.register(app)
    provinces.register(app)
    dead_letters.register(app)
    requests.register(app)
    for entry_point in entry_points(group="tongban.commands"):
        entry_point.load()(app)
    return app


def main() -> None:
    """Run the command line. Exit code 2: a command or option that is not there."""
    # What goes wrong is told in one line, by who asked; stdout is for answers.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    application()()
