"""Settings of `tongban export`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tongban_common.settings import CommonSettings


class FactsSettings(CommonSettings):
    """Settings of the export of fact tables."""

    facts_keys_file: Path | None = Field(
        None,
        description="file in which `tongban export` keeps the keys of the months' pseudonyms; "
        "default: keys.json in its state directory",
    )
