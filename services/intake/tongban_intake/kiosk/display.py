"""Show the kiosk's pages as a person has chosen: in Chinese or English, in ordinary or large type.

The choice is in a cookie and ends with the visit: the next person begins with the pages as they are
by default. While one request is handled, the choice is in a context variable, because texts come
from templates, fields and errors alike.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from tongban_intake.kiosk.english import ENGLISH
from tongban_intake.text import Language, Text

COOKIE = "tongban_display"
HOME = "/kiosk"
_PARTS_OF_A_PLACE = 4
"""Parts that are kept of a path such as /kiosk/requests/{id}/print: what is below a request is
posted to, and cannot be opened."""


@dataclass(frozen=True, slots=True)
class Display:
    """Says in which language and size a person reads the pages."""

    language: Language = "zh"
    large: bool = False

    @classmethod
    def read(cls, cookie: str) -> Display:
        """Return what a cookie says; unknown words are ignored."""
        words = cookie.split("-")
        return cls("en" if "en" in words else "zh", "large" in words)

    def write(self) -> str:
        """Return the value of the cookie."""
        return f"{self.language}-large" if self.large else self.language

    def changed(self, choice: str) -> Display:
        """Return the display after one choice: zh, en, large or ordinary. Others change nothing."""
        match choice:
            case "zh" | "en":
                return replace(self, language=choice)
            case "large" | "ordinary":
                return replace(self, large=choice == "large")
        return self


DEFAULT = Display()
_CURRENT: ContextVar[Display] = ContextVar("display", default=DEFAULT)
_PLACE: ContextVar[str] = ContextVar("place", default=HOME)


def current() -> Display:
    """Return the display of the page that is being made."""
    return _CURRENT.get()


def place() -> str:
    """Return the path, with its query, that shows the page which is being made again."""
    return _PLACE.get()


def begin(request: Request) -> None:
    """Take display and place of this HTTP request."""
    _CURRENT.set(Display.read(request.cookies.get(COOKIE, "")))
    if request.url.path == HOME:
        _PLACE.set(HOME)
    elif request.method == "GET":
        query = f"?{request.url.query}" if request.url.query else ""
        _PLACE.set(request.url.path + query)
    else:
        _PLACE.set("/".join(request.url.path.split("/")[:_PARTS_OF_A_PLACE]))


def choose(request: Request, choice: str) -> None:
    """Change the display of this page and of those that follow."""
    request.state.display = current().changed(choice)
    _CURRENT.set(request.state.display)


def forget(request: Request) -> None:
    """Return to the default: the visit is over."""
    request.state.display = DEFAULT
    _CURRENT.set(DEFAULT)


def keep(request: Request, response: Response) -> None:
    """Set the cookie, if this request has changed the display."""
    display: Display | None = getattr(request.state, "display", None)
    if display is None:
        return
    if display == DEFAULT:
        response.delete_cookie(COOKIE, path=HOME)
        return
    response.set_cookie(
        COOKIE,
        display.write(),
        path=HOME,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def page_of_ours(back: str) -> str:
    """Return the address if it is one of the kiosk's pages, else the home page."""
    parts = urlsplit(back)
    ours = parts.path == HOME or parts.path.startswith(HOME + "/")
    plain = back.isprintable() and "\\" not in back
    return back if ours and plain and not (parts.scheme or parts.netloc) else HOME


def said(text: Text | str) -> str:
    """Return the text in the language of the page. A plain string comes from the catalogue or from
    a person, and is shown as it is."""
    return text.in_(current().language) if isinstance(text, Text) else text


def translated(text: str, **values: Any) -> Markup:
    """Return a text of the templates in the language of the page, with `{name}` replaced by
    values, which are escaped. A text that has no translation is shown in Chinese."""
    if current().language == "en":
        text = ENGLISH.get(text, text)
    return Markup(text).format(**values)  # noqa: S704 - the text is ours, its values are escaped
