"""Define the base of all models of request bodies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RequestBody(BaseModel):
    """Validates a JSON object that a client sends.

    A member that the contract does not name is an error, so that a misspelt name is not read as an
    absent one. Types are not converted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
