"""Serve style sheets and scripts from memory."""

from __future__ import annotations

import hashlib
from importlib.resources.abc import Traversable

from starlette.responses import Response

from tongban_intake.problems import Kind, ProblemError

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_FOREVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """The files of a directory, under names with a hash of the contents, so that browsers may cache
    them for ever.

    Args:
        prefix: path of the route that calls `response`.
    """

    def __init__(self, directory: Traversable, prefix: str) -> None:
        self._files: dict[str, tuple[bytes, str]] = {}
        self.urls: dict[str, str] = {}
        """The path of each file, by its plain name."""
        for file in sorted(directory.iterdir(), key=lambda each: each.name):
            body = file.read_bytes()
            stem, dot, ending = file.name.rpartition(".")
            named = f"{stem}-{hashlib.sha256(body).hexdigest()[:12]}{dot}{ending}"
            self._files[named] = (body, _TYPES[dot + ending])
            self.urls[file.name] = f"{prefix}/{named}"

    def response(self, name: str) -> Response:
        """Return the response with the file of that name.

        Raises:
            ProblemError: 404, there is none.
        """
        found = self._files.get(name)
        if found is None:
            raise ProblemError(Kind.NOT_FOUND)
        body, media_type = found
        headers = {"Cache-Control": _FOREVER, "Content-Type": media_type}
        return Response(body, headers=headers)
