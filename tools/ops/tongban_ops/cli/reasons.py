"""Provide the key ring for `--reason`, and a warning where there is none."""

from __future__ import annotations

from collections.abc import Collection

import typer

from tongban_common.envelope import KeyRing
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.settings import CommonSettings
from tongban_ops.cli.console import stop
from tongban_ops.operators.reasons import WITHHELD, key_ring_of


def words_key_ring(settings: CommonSettings) -> KeyRing | None:
    """Return the key ring of TONGBAN_KEYRING, None where it is not set; if it is unreadable, end
    the command with EX_CONFIG."""
    try:
        return key_ring_of(settings)
    except (ValueError, OSError) as error:
        kind = type(error).__name__
        raise stop(f"TONGBAN_KEYRING: cannot be read ({kind})", EX_CONFIG) from error


def warn_if_withheld(withheld: bool, known: Collection[str]) -> None:
    """Warn on stderr if the text of `--reason` was not published."""
    if withheld:
        typer.echo(WITHHELD + "; ".join(sorted(known)), err=True)
