"""Define `tongban smoke`: check a deployment from a kiosk's side."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tongban_common.exit_codes import EX_NOINPUT, EX_UNAVAILABLE
from tongban_intake.access.enrolment.keyfiles import KeyFileError, read_private
from tongban_ops.cli.console import stop
from tongban_ops.cli.output import Json
from tongban_ops.smoke.options import SmokeOptions
from tongban_ops.smoke.results import NotIntakeError, StepResult, Verdict
from tongban_ops.smoke.runner import SmokeOutcome, run_smoke


def smoke(  # noqa: PLR0917 - typer makes options of them
    intake: Annotated[
        str, typer.Option(envvar="TONGBAN_INTAKE", help="base URL of intake, as kiosks have it")
    ] = "http://127.0.0.1:8080",
    token: Annotated[
        str | None, typer.Option(envvar="TONGBAN_TOKEN", help="bearer token of the smoke kiosk")
    ] = None,
    kiosk: Annotated[
        str | None, typer.Option(help="id of the smoke kiosk, instead of a token; with --key")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(envvar="TONGBAN_KIOSK_KEY", help="file of its private key, PEM or JWK"),
    ] = None,
    item: Annotated[str | None, typer.Option(help="code of the item to submit")] = None,
    request: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON with applicant and form (and item_code) of a test person"
        ),
    ] = None,
    prints: Annotated[
        bool | None,
        typer.Option("--print/--no-print", help="print the sheet", show_default="in development"),
    ] = None,
    may_change: Annotated[
        bool, typer.Option("--may-change", help="allow an item of kind handle")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, help="seconds for completion, sheet and message each")
    ] = 60.0,
    expect_version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="fail where another version answers")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM of the authority of intake's TLS")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="fail where a step was skipped, too")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a deployment from a kiosk's side: reachable, version, ready, sign-in, catalogue, and
    one request to its end, its sheet and its message.

    Without token or key only what anyone may ask is checked. Outside development a request is
    submitted only with --request, the data of a test person who has agreed to it; it is withdrawn
    if it does not end in time. See docs/operations/upgrade.md.

    Exit codes: 0 every step passed or was skipped, 1 a step failed, 2 wrong options, 66 a file
    cannot be read, 69 nothing answers at the URL, or not intake.
    """
    if kiosk and not key:
        raise typer.BadParameter("goes with --key", param_hint="--kiosk")
    options = SmokeOptions(
        intake=intake,
        token=None if kiosk else token,
        kiosk_id=kiosk,
        key=_private_key(key) if kiosk and key else None,
        item=item,
        request=_request(request) if request else None,
        prints=prints,
        may_change=may_change,
        patience_s=timeout,
        expected_version=expect_version,
        tls=_authority(ca) if ca else True,
    )
    try:
        outcome = _run(options, as_json=as_json)
    except NotIntakeError as error:
        raise stop(f"{intake}: {error}", EX_UNAVAILABLE) from error
    failed, skipped = (outcome.count(each) for each in (Verdict.FAILED, Verdict.SKIPPED))
    if as_json:
        report = {
            "ok": not failed,
            "intake": intake,
            "request_id": outcome.request_id,
            "steps": [asdict(each) for each in outcome.steps],
        }
        print(json.dumps(report, ensure_ascii=False))
    else:
        passed = outcome.count(Verdict.PASSED)
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed or (strict and skipped):
        raise typer.Exit(1)


def _run(options: SmokeOptions, *, as_json: bool) -> SmokeOutcome:
    """Run the steps; show each on stdout as it ends, and the current one on a terminal's stderr."""

    def show(result: StepResult) -> None:
        if not as_json:
            line = f"{result.verdict:<8}{result.seconds:6.2f} s  {result.step:<13}{result.detail}"
            print(line, flush=True)

    with Console(stderr=True).status("starting") as status:
        return asyncio.run(run_smoke(options, begin=status.update, report=show))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise stop(f"{path}: {error.strerror}", EX_NOINPUT) from error


def _private_key(path: Path) -> Any:
    try:
        return read_private(_read(path))
    except KeyFileError as error:
        raise stop(f"{path}: {error}", EX_NOINPUT) from error


def _request(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read(path))
    except ValueError as error:
        raise stop(f"{path}: no JSON: {error}", EX_NOINPUT) from error
    if not isinstance(found, dict) or not {"applicant", "form"} <= found.keys():
        raise stop(f"{path}: needs an object with `applicant` and `form`", EX_NOINPUT)
    return found


def _authority(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError, too
        raise stop(f"{path}: {error.strerror or error}", EX_NOINPUT) from error
