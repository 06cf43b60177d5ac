"""Define `tongban documents verify FILE`: check that a file is a document issued here."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from pydantic import ValidationError
from rich.console import Console

from tongban_common.domain.verification import file_code
from tongban_common.exit_codes import EX_NOINPUT, EX_UNAVAILABLE
from tongban_intake.api.schemas import Verified
from tongban_ops.cli.console import stop
from tongban_ops.cli.group import Commands
from tongban_ops.cli.output import Json
from tongban_ops.errors import OpsError

documents = typer.Typer(cls=Commands, no_args_is_help=True)
_TIMEOUT_S = 20.0
_PROBLEM = "application/problem+json"


class IntakeUnreachableError(OpsError):
    """Raised when intake cannot verify the file now; the text says why."""


@documents.command()
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="a PDF, unchanged since it was issued")
    ],
    intake: Annotated[
        str, typer.Option(envvar="TONGBAN_INTAKE", help="base URL of intake")
    ] = "http://127.0.0.1:8080",
    as_json: Json = False,
) -> None:
    """Verify that a file is, to the last byte, a document that was issued here, and show which.

    The file is not sent: intake is queried by the beginning of its SHA-256, as anyone may. A scan,
    a print or a file saved anew by a reader is another file; verify those by the code on the sheet.
    A document that has just been issued may be unknown for a moment.

    Exit codes: 0 genuine, 1 not issued here, 66 the file cannot be read, 69 intake does not answer.
    """
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise stop(f"{file}: {error.strerror}", EX_NOINPUT) from error
    try:
        with Console(stderr=True).status(f"asking {intake} ..."):
            found = asyncio.run(_look_up(intake, sha256))
    except IntakeUnreachableError as error:
        raise stop(f"{intake}: {error}", EX_UNAVAILABLE) from error
    # Compare the whole hash: two files may share its beginning, which is the code.
    genuine = found is not None and found.sha256 == sha256
    if as_json:
        about = (
            found.model_dump(exclude={"genuine", "sha256"}, exclude_none=True)
            if found and genuine
            else {}
        )
        print(json.dumps({"genuine": genuine, "sha256": sha256, **about}, ensure_ascii=False))
    elif found and genuine:
        print(f"{file} is genuine")
        _show(found)
    else:
        print(f"{file} is no document of {intake}, or was changed after it was issued")
        print(f"SHA-256 {sha256}")
    if not genuine:
        raise typer.Exit(1)


def _show(found: Verified) -> None:
    for name, value in (
        ("title", found.title),
        ("item", f"{found.item_name} {found.item_code}"),
        ("province", found.province),
        ("issuer", found.issuer),
        ("issued on", found.issued_on),
        ("code", found.code),
        ("SHA-256", found.sha256),
        ("pages", found.pages),
        ("holder", found.holder),
        ("holder's no", found.holder_number),
        ("number", found.number),
        *((figure.label, figure.value) for figure in found.figures or ()),
    ):
        if value is not None:
            print(f"{name:<10} {value}")


async def _look_up(intake: str, sha256: str) -> Verified | None:
    """Look up a file by the beginning of its SHA-256; None if intake does not know it.

    Raises:
        IntakeUnreachableError
    """
    url = f"{intake.rstrip('/')}/v1/verify/{file_code(sha256)}"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
            if reply.status == 200:
                return Verified.model_validate_json(await reply.read())
            # Check the content type: any web server answers 404, and only intake's means that there
            # is no such document.
            if reply.status == 404 and reply.content_type == _PROBLEM:
                return None
            raise IntakeUnreachableError(_reason(reply.status, await reply.text(errors="replace")))
    except ValidationError as error:
        raise IntakeUnreachableError(
            "it answers, but not as intake does: is this its URL?"
        ) from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise IntakeUnreachableError(f"no answer: {str(error) or type(error).__name__}") from error


def _reason(status: int, text: str) -> str:
    try:
        problem: Any = json.loads(text)
        return f"{status}: {problem['detail'] if 'detail' in problem else problem['title']}"
    except (ValueError, TypeError, KeyError):
        return f"it answers {status}, not as intake does: is this its URL?"
