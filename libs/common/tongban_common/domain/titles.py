"""Titles of documents. They stand in clear on topics, in the store and at `/v1/verify`, so they are
made of the item's name alone: a province may have put the applicant's name into its own title."""

from __future__ import annotations

from tongban_common.events.models import ItemSnapshot


def title_of(item: ItemSnapshot, number: int = 1, *, of: int = 1) -> str:
    """Return the title of the `number`-th of `of` documents of a request.

    It is the item's name without the verb that is a button's, not a title's; numbered where the
    request has several documents.
    """
    title = item.name.removesuffix("打印").removesuffix("查询") or item.name
    return title if of == 1 else f"{title}（{number}）"
