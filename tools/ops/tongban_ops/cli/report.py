"""Define `tongban report`: make a page of charts from exported facts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tongban_common.catalogue.provinces import find_directory
from tongban_common.catalogue.yamlfile import CatalogueError
from tongban_common.exit_codes import EX_NOINPUT, EX_UNAVAILABLE
from tongban_ops.catalogue.names import bilingual_names
from tongban_ops.cli.console import progress, stop

if TYPE_CHECKING:
    from tongban_report.wording import Names

INSTALL = "pip install 'tongban-ops[report]'"


class Language(StrEnum):
    """The languages of the page; `both` has a switch."""

    BOTH = "both"
    CHINESE = "zh"
    ENGLISH = "en"


_Date = typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")


def report(
    source: Annotated[
        Path, typer.Option("--from", metavar="DIR", help="directory of `tongban export`")
    ],
    target: Annotated[Path, typer.Option("--to", metavar="FILE", help="the page")] = Path(
        "report.html"
    ),
    language: Annotated[
        Language, typer.Option(help="Chinese, English, or a page with both")
    ] = Language.BOTH,
    since: Annotated[datetime | None, _Date] = None,
    until: Annotated[datetime | None, _Date] = None,
) -> None:
    """Make one HTML page of charts from exported facts: it loads nothing and prints on A4.

    Each chart has its table and its query beside it. --since and --until (inclusive) choose the
    requests by the business date of their submission. The file is replaced in one step.

    Names of provinces, domains and categories are the catalogue's; without a catalogue their codes
    are shown.

    Exit codes: 66 there are no facts or they cannot be read, 69 a package is missing.
    """
    try:
        from tongban_report.answers import SECTIONS  # noqa: PLC0415 - an optional distribution
        from tongban_report.errors import ReportError  # noqa: PLC0415 - as above
        from tongban_report.page import write  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise stop(
            f"`tongban report` needs the package {error.name}, which is not here: {INSTALL}",
            EX_UNAVAILABLE,
        ) from error
    steps = 1 + sum(len(section.answers) for section in SECTIONS)
    try:
        with progress("making the report") as show:
            size = write(
                source, target, _names(),
                languages=("zh", "en") if language is Language.BOTH else (language.value,),
                since=since and since.date(), until=until and until.date(),
                progress=lambda done: show(done, steps),
            )  # fmt: skip
    except (ReportError, OSError) as error:
        raise stop(str(error), EX_NOINPUT) from error
    print(f"{target} ({size / 1024:.0f} KB)")


def _names() -> Names:
    """Return the catalogue's names, none without a catalogue that can be read."""
    try:
        return bilingual_names(find_directory())
    except (FileNotFoundError, CatalogueError) as error:
        typer.echo(f"codes are shown instead of names: {error}", err=True)
        return {}
