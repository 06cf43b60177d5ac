"""Titles of documents. A title is made of the item's name alone, because it is in clear on topics,
in the store and at `/v1/verify`, and a province may put the applicant's name into its own title."""

from __future__ import annotations

from typing import Protocol


class NamedItem(Protocol):
    """An item of the catalogue, or its snapshot in an event."""

    @property
    def name(self) -> str: ...


def title_of(item: NamedItem, number: int = 1, *, of: int = 1) -> str:
    """Return the title of the `number`-th of `of` documents of a request.

    The title is the item's name without the verb of its button, numbered where the request has
    several documents.
    """
    title = item.name.removesuffix("打印").removesuffix("查询") or item.name
    return title if of == 1 else f"{title}（{number}）"
