"""Run the conformance kit for the command: options from the catalogue, progress bar, exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import typer
from rich.progress import TaskProgressColumn

from tongban_common.catalogue.catalogue import Catalogue
from tongban_common.catalogue.yamlfile import CatalogueError
from tongban_common.exit_codes import EX_CONFIG, EX_UNAVAILABLE
from tongban_ops.catalogue.loader import load as load_catalogue
from tongban_ops.cli.console import stop
from tongban_ops.cli.output import progress_bars
from tongban_ops.conformance.checks import Check, selected
from tongban_ops.conformance.listener import PortTakenError
from tongban_ops.conformance.options import Options, examples
from tongban_ops.conformance.runner import GatewayUnreachableError, examine
from tongban_ops.conformance.verdicts import ConformanceReport

UNLISTED_RATE = 20.0
"""Calls per second to a province that the catalogue does not have."""


def run_conformance(
    requested: Options, *, checks: Sequence[str], items: Sequence[str], timeout_ms: int | None
) -> ConformanceReport:
    """Run the checks of these names, all if there are none.

    Raises:
        typer.BadParameter: an unknown check, or a port in use.
        typer.Exit: EX_UNAVAILABLE or EX_CONFIG; the reason has been printed.
    """
    wanted = _checks(requested.protocol, checks)
    try:
        with _progress(len(wanted)) as progress:
            progress("reading the catalogue", 0)
            options = _completed(requested, _catalogue(), items, timeout_ms)
            return asyncio.run(examine(options, wanted, progress))
    except GatewayUnreachableError as error:
        raise stop(f"{requested.url} does not answer: {error}", EX_UNAVAILABLE) from error
    except PortTakenError as error:
        raise typer.BadParameter(str(error), param_hint="--callback-port") from error
    except CatalogueError as error:
        raise stop(str(error), EX_CONFIG) from error


def _checks(protocol: str, names: Sequence[str]) -> list[Check]:
    try:
        return selected(protocol, names)
    except KeyError as unknown:
        there = ", ".join(check.name for check in selected(protocol))
        raise typer.BadParameter(f"{unknown} is none of {there}", param_hint="--check") from None


def _completed(
    requested: Options, catalogue: Catalogue, items: Sequence[str], timeout_ms: int | None
) -> Options:
    """Complete the options with test items and with the catalogue's limits for the province."""
    options = replace(
        requested, examples=examples(catalogue, requested.province, items), rate_per_s=UNLISTED_RATE
    )
    if known := catalogue.provinces.get(requested.province):
        options = replace(
            options,
            rate_per_s=known.gateway.rate_per_s,
            timeout_s=known.gateway.timeout_ms / 1000,
            connect_timeout_s=known.gateway.connect_timeout_ms / 1000,
        )
    return options if timeout_ms is None else replace(options, timeout_s=timeout_ms / 1000)


def _catalogue() -> Catalogue:
    """Return the catalogue; without one, an empty one, for made-up examples and default limits."""
    try:
        return load_catalogue()
    except FileNotFoundError as none:
        typer.echo(f"{none}; testing with a made-up application", err=True)
        return Catalogue()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None]]:
    with progress_bars(TaskProgressColumn(), description="{task.description:24}") as bars:
        task = bars.add_task("", total=total)
        yield lambda name, over: bars.update(task, description=name, completed=over)
