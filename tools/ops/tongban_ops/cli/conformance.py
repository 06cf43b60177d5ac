"""Define `tongban conformance URL --protocol P`: check a province's gateway."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tongban_common.settings import DEVELOPMENT_SECRET
from tongban_ops.cli.output import Json
from tongban_ops.conformance import render
from tongban_ops.conformance.options import PROTOCOLS, Options

_PROVINCE_IN_URL = re.compile(r"/([1-6][0-9]0000)(?:/|$)")
_URL = re.compile(r"https?://[^/\s?#]+[^\s?#]*")


def conformance(  # noqa: PLR0917 - typer makes options of them
    url: Annotated[str, typer.Argument(help="URL of the gateway, as in catalogue/provinces.yaml")],
    protocol: Annotated[str, typer.Option(help="|".join(PROTOCOLS))],
    secret: Annotated[
        str,
        typer.Option(envvar="TONGBAN_GATEWAY_SECRET", help="secret from which tokens are derived"),
    ] = DEVELOPMENT_SECRET,
    province: Annotated[
        str | None, typer.Option(help="GB/T 2260 code; default: the one in the URL")
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="item code to test with; `conformance` if the gateway keeps one"),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="run this check and those it needs; repeatable, default all"),
    ] = None,
    timeout_ms: Annotated[
        int | None, typer.Option(min=1, help="time-out of an answer; default: the catalogue's")
    ] = None,
    rate_limit: Annotated[
        int, typer.Option(min=0, max=5000, help="look-ups to spend on provoking a throttling")
    ] = 0,
    parallel: Annotated[
        int, typer.Option(min=2, max=64, help="concurrent submissions of one id")
    ] = 8,
    idle: Annotated[
        float, typer.Option(min=0.1, max=600, help="seconds to leave a connection idle")
    ] = 3,
    callback_url: Annotated[
        str, typer.Option(help="rest_callback: URL at which the gateway reaches this machine")
    ] = "",
    callback_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="port to listen on; default: that of --callback-url"),
    ] = 0,
    wait: Annotated[
        float, typer.Option(min=0.1, max=3600, help="seconds to wait for a callback")
    ] = 30,
    junit: Annotated[Path | None, typer.Option(help="file for JUnit XML")] = None,
    as_json: Json = False,
) -> None:
    """Check a gateway for everything that a connector relies on, and report what holds.

    Submits test applications, whose request ids begin with `conformance-`, and withdraws those
    still open at the end. docs/conformance.md explains each check and what to do about it.

    Exit codes: 0 all holds, 1 something does not, 2 wrong options, 69 the gateway does not answer.
    """
    code = _province(url, province)
    if callback_url and not _URL.fullmatch(callback_url):
        raise typer.BadParameter("an http or https URL", param_hint="--callback-url")
    if protocol not in PROTOCOLS:
        raise typer.BadParameter(f"one of {', '.join(PROTOCOLS)}", param_hint="--protocol")
    if junit is not None and not junit.parent.is_dir():
        raise typer.BadParameter(f"{junit.parent} is no directory", param_hint="--junit")
    # Import late: the protocols' libraries take a second to import.
    from tongban_ops.cli.conformance_run import run_conformance  # noqa: PLC0415

    options = Options(
        url=url,
        protocol=protocol,
        province=code,
        secret=secret,
        examples=(),
        parallel=parallel,
        rate_limit=rate_limit,
        idle_s=idle,
        wait_s=wait,
        callback_url=callback_url,
        callback_port=callback_port,
    )
    report = run_conformance(options, checks=check or (), items=item or (), timeout_ms=timeout_ms)
    if junit is not None:
        junit.write_bytes(render.junit(report))
    if as_json:
        print(json.dumps(render.as_json(report), ensure_ascii=False))
    else:
        render.show(report, Console())
    raise typer.Exit(0 if report.ok else 1)


def _province(url: str, given: str | None) -> str:
    if not _URL.fullmatch(url):
        raise typer.BadParameter(f"{url} is no http or https URL", param_hint="URL")
    if given is not None:
        if not re.fullmatch("[1-6][0-9]0000", given):
            raise typer.BadParameter("a GB/T 2260 code: 340000", param_hint="--province")
        return given
    found = _PROVINCE_IN_URL.search(url)
    if found is None:
        raise typer.BadParameter(
            "the URL has no GB/T 2260 code: which province is it?", param_hint="--province"
        )
    return found[1]
