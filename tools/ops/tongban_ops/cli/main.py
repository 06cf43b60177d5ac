"""Assemble the `tongban` command: operators' commands, and those of installed distributions.

A distribution adds commands by an entry point of the group `tongban.commands`: a function that
takes the typer application, best with `add_later`, in a module that imports little. So production
code never imports the devstack, and `tongban up` exists where the devstack is installed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer

from tongban_ops.cli.group import Commands, add_later
from tongban_ops.cli.output import write_everything

_HERE = "tongban_ops.cli"
_COMMANDS = (
    ("topics", f"{_HERE}.topics:topics", "Manage the topics of the registry."),
    ("catalogue", f"{_HERE}.catalogue:catalogue", "Check and publish the items on offer."),
    ("kiosk", f"{_HERE}.kiosk:kiosk", "Manage the kiosks that may connect."),
    ("assistant", f"{_HERE}.assistant:assistant", "Manage the lobby managers who may sign in."),
    ("province", f"{_HERE}.provinces:province", "Show, pause and resume provinces."),
    ("optout", f"{_HERE}.optouts:optout", "Manage the numbers that get no messages."),
    ("notify", f"{_HERE}.notify:notify", "Show the messages as they would be sent."),
    ("dlt", f"{_HERE}.dead_letters:dlt", "Show, replay and discard dead letters."),
    ("trace", f"{_HERE}.requests:trace_", "Show all events and calls of one request, in order."),
    ("restore", f"{_HERE}.restore:restore", "Rebuild guards after the store was restored."),
    ("request", f"{_HERE}.requests:request", "Resume or fail a held request."),
    ("keys", f"{_HERE}.keys:keys", "Manage the keys that seal personal data."),
    (
        "deployment",
        f"{_HERE}.deployment:deployment",
        "Write the manifests and permissions that follow from the registries.",
    ),
    ("events", f"{_HERE}.events:events", "Describe the event topics for their readers."),
    ("documents", f"{_HERE}.documents:documents", "Verify issued documents."),
    (
        "rebuild",
        f"{_HERE}.rebuild:rebuild",
        "Rebuild the read model from the topics and the router's table.",
    ),
    (
        "export",
        f"{_HERE}.export:export",
        "Write fact tables for analysts, which name no person.",
    ),
    ("report", f"{_HERE}.report:report", "Make a page of charts from exported facts."),
    ("smoke", f"{_HERE}.smoke:smoke", "Check a deployment from a kiosk's side."),
    ("store", f"{_HERE}.store:store", "Maintain the document store."),
    ("print", f"{_HERE}.prints:prints", "Answer print orders that wait for a lobby manager."),
    (
        "conformance",
        "tongban_ops.cli.conformance:conformance",
        "Check a province's gateway for everything a connector relies on.",
    ),
)


def _nothing() -> None:
    pass


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tongban {version('tongban-common')}")
        raise typer.Exit


_Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
]


def application(before: Callable[[], None] = _nothing) -> typer.Typer:
    """Return the command line with all installed commands; `before` is called when one runs."""

    def main_options(show_version: _Version = False) -> None:  # noqa: ARG001 - typer's callback
        before()

    app = typer.Typer(
        name="tongban",
        cls=Commands,
        help="Government services across provinces, at a bank-branch kiosk.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        callback=main_options,
    )
    for name, target, description in _COMMANDS:
        add_later(app, name, target, help=description)
    for entry_point in entry_points(group="tongban.commands"):
        entry_point.load()(app)
    return app


def _drop_refusals(_logger: Any, _method: str, event: Any) -> Any:
    """Drop the log line of a refused connection: the command prints the reason itself."""
    import structlog  # noqa: PLC0415 - as below

    if event.get("event") == "kafka_refused":
        raise structlog.DropEvent
    return event


def _be_quiet() -> None:
    """Silence the logs of libraries: a command prints one line on failure, and stdout is for
    results."""
    import structlog  # noqa: PLC0415 - a quarter of a second that `--help` does not need

    from tongban_kafka import prepare_aiokafka  # noqa: PLC0415 - as above

    prepare_aiokafka()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[_drop_refusals, *structlog.get_config()["processors"]],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> None:
    """Run the command line. Exit code 2: an unknown command or option."""
    write_everything()
    application(_be_quiet)()
