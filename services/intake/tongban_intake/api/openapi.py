"""Add to /openapi.json what FastAPI cannot derive from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tongban_intake.access.models import AssistantSignIn, TokenRequest
from tongban_intake.api.schemas import ProblemDocument, StreamEvent
from tongban_intake.commands.models import (
    Confirmation,
    Print,
    Rating,
    Supplement,
    Withdrawal,
)
from tongban_intake.problems import MEDIA_TYPE, FieldError, Kind, ProblemError
from tongban_intake.submission.checks import Submission
from tongban_intake.text import Text

Responses = dict[int | str, dict[str, Any]]
_REF = "#/components/schemas/{model}"
_SENT: tuple[type[BaseModel], ...] = (
    Submission,
    Supplement,
    Withdrawal,
    Print,
    Confirmation,
    Rating,
    TokenRequest,
    AssistantSignIn,
)

READ = (
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
    Kind.TOO_MANY,
    Kind.UNAVAILABLE,
)
"""Problems of the endpoints that read a request."""
_WRITE = (
    Kind.MALFORMED,
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
    Kind.SLOW,
    Kind.TOO_LARGE,
    Kind.MEDIA_TYPE,
    Kind.INVALID,
    Kind.TOO_MANY,
    Kind.UNAVAILABLE,
)
SUBMIT = _WRITE
"""Problems of the endpoint that submits."""
COMMAND = (*_WRITE, Kind.CONFLICT, Kind.GONE)
"""Problems of the commands."""

SIGN_IN = tuple(kind for kind in _WRITE if kind is not Kind.NOT_FOUND)
"""Problems of a lobby manager's sign-in."""
TRADE = (
    Kind.MALFORMED,
    Kind.SLOW,
    Kind.TOO_LARGE,
    Kind.MEDIA_TYPE,
    Kind.TOO_MANY,
    Kind.UNAVAILABLE,
)
"""Problems of the token endpoint."""

KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Same kiosk, key and body: the same answer, and one effect.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{8,128}$"},
    "example": "3f8a1c6e-6f0b-4e07-9f42-1f1f2a9d7c11",
}
LAST_EVENT_HEADER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` of the last event that was received.",
    "schema": {"type": "string"},
    "example": "2",
}
NOT_MODIFIED: Responses = {
    304: {"description": "As the client has it already (If-None-Match)", "content": {}}
}


def problems(*kinds: Kind) -> Responses:
    """Return the responses for these problems, each with an example."""
    return {kind.status: _problem(kind) for kind in kinds}


def _problem(kind: Kind) -> dict[str, Any]:
    errors = [FieldError("/applicant/phone", Text("应为11位手机号码", "A mobile number"))]
    example = ProblemError(kind, errors=errors if kind is Kind.INVALID else ()).body("zh")
    response: dict[str, Any] = {
        "description": kind.title.en,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(model=ProblemDocument.__name__)},
                "example": example,
            }
        },
    }
    if kind in (Kind.UNAVAILABLE, Kind.TOO_MANY):
        response["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}
        }
    return response


def answer(model: type[BaseModel], description: str, example: Any) -> dict[str, Any]:
    """Return a response with a JSON body."""
    content = {"application/json": {"example": example}}
    return {"model": model, "description": description, "content": content}


def streams(model: type[BaseModel], description: str, example: str) -> dict[str, Any]:
    """Return a response of server-sent events; the schema is that of the fields of one event."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    content = {"text/event-stream": {"schema": schema, "example": example}}
    return {"description": description, "content": content}


def takes(model: type[BaseModel], example: Any) -> dict[str, Any]:
    """Return the `openapi_extra` of a route with a JSON body and an Idempotency-Key."""
    return {"parameters": [KEY_HEADER], **reads(model, example)}


def reads(
    model: type[BaseModel], example: Any, *, media_type: str = "application/json"
) -> dict[str, Any]:
    """Return the `openapi_extra` of a route with a body."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    content = {media_type: {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def complete(app: FastAPI) -> None:
    """Complete the app's OpenAPI document, with the bodies that routes parse themselves and with
    authentication."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            modes = [(model, "validation") for model in (*_SENT, ProblemDocument, StreamEvent)]
            _, definitions = models_json_schema(modes, ref_template=_REF)  # type: ignore[arg-type]
            schemas.update(definitions["$defs"])
            components["securitySchemes"] = {
                "kiosk": {"type": "http", "scheme": "bearer", "description": "the kiosk's token"}
            }
            document["security"] = [{"kiosk": []}]
            _drop_what_never_comes(document)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _drop_what_never_comes(document: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to every route with parameters, also where any text is
    valid."""
    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if MEDIA_TYPE not in content:
                operation["responses"].pop("422", None)
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
