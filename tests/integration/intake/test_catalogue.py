"""The catalogue over HTTP, and how a change of an item gets there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import jsonschema_rs
import pytest

from tests.integration.intake.conftest import Replica, Stack, token, until
from tests.integration.intake.test_submit import pointers, problem
from tongban_common.catalogue import Item
from tongban_common.topics import CATALOGUE_ITEMS
from tongban_ops.catalogue.publish import publish


async def test_summary_counts_the_items(intake: Replica, stack: Stack) -> None:
    summary = await intake.get("/v1/catalogue/summary")
    assert summary == stack.catalogue.summary()


async def test_pages_hold_every_item_once(intake: Replica, stack: Stack) -> None:
    seen: list[str] = []
    page: int | None = 1
    while page is not None:
        body = await intake.get(f"/v1/catalogue/items?page={page}&page_size=7")
        assert body["page"] == page
        assert body["total"] == len(stack.catalogue)
        seen += [item["code"] for item in body["items"]]
        page = body["next_page"]
    assert len(seen) == len(set(seen)) == len(stack.catalogue)


async def test_filters_narrow(intake: Replica, stack: Stack) -> None:
    item = stack.printable
    query = f"province={item.province}&domain={item.domain}&kind={item.kind}&zone={item.zones[0]}"
    body = await intake.get(f"/v1/catalogue/items?{query}&q={item.name[:2]}&page_size=200")
    assert item.code in [each["code"] for each in body["items"]]
    for each in body["items"]:
        assert (each["province"], each["domain"], each["kind"]) == (
            item.province,
            item.domain,
            item.kind,
        )
    assert (await intake.get("/v1/catalogue/items?q=没有这种事项"))["total"] == 0
    companies = await intake.get("/v1/catalogue/items?audience=company&page_size=200")
    assert companies["items"]
    assert {each["audience"] for each in companies["items"]} <= {"company", "both"}


async def test_search_is_the_catalogues(intake: Replica) -> None:
    """The order and the ways of typing are tested in tests/unit/ops/test_catalogue_search.py."""
    for query in ("sbkgs", "社保卡挂失", "社保卡丢了", "山东 sbkgs"):
        found = await intake.get(f"/v1/catalogue/items?zone=cross_province&q={query}")
        assert found["items"][0]["name"] == "社保卡临时挂失", query
    assert {item["province"] for item in found["items"]} == {"370000"}
    everything = await intake.get("/v1/catalogue/items?q=%20&page_size=1")
    assert everything["total"] > 1346


async def test_equally_good_match_in_the_kiosks_zone_comes_first(intake: Replica) -> None:
    tags = set()
    for zone in ("cross_province", "yangtze_delta", "local"):
        headers = {"Authorization": f"Bearer {token(zone=zone)}"}
        answer = await intake.call("GET", "/v1/catalogue/items?q=gongjijin", headers=headers)
        assert zone in (await answer.json())["items"][0]["zones"]
        tags.add(answer.headers["ETag"])
    assert len(tags) == 3


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("page=0", "/page"),
        ("page_size=201", "/page_size"),
        ("page=x", "/page"),
        ("zone=moon", "/zone"),
        ("kind=eat", "/kind"),
        ("province=999999", "/province"),
    ],
)
async def test_wrong_parameters_are_422(intake: Replica, query: str, pointer: str) -> None:
    found = await problem(await intake.call("GET", f"/v1/catalogue/items?{query}"), 422)
    assert pointers(found) == {pointer}


async def test_an_item_has_all_that_a_kiosk_needs(intake: Replica, stack: Stack) -> None:
    for item in stack.catalogue:
        body = await intake.get(f"/v1/catalogue/items/{item.code}")
        jsonschema_rs.validate(body["form"], body["example_form"])
        assert body["printable"] is item.printable
        assert {"version", "materials", "limits", "fee", "hours", "mode"} <= body.keys()
    await problem(await intake.call("GET", "/v1/catalogue/items/0"), 404)


@pytest.fixture
async def changeable(stack: Stack) -> AsyncIterator[Item]:
    """An item that is as it was when the test is over."""
    item = stack.printable
    yield item
    await stack.producer.send(
        CATALOGUE_ITEMS, key=item.code.encode(), value=item.model_dump_json().encode(), headers=[]
    )


async def test_a_change_is_offered_at_once_and_old_etags_end(
    intake: Replica, stack: Stack, changeable: Item
) -> None:
    path = f"/v1/catalogue/items/{changeable.code}"
    first = await intake.call("GET", path)
    tag = {"If-None-Match": first.headers["ETag"]}
    assert (await intake.call("GET", path, headers=tag)).status == 304
    everything = await intake.call("GET", "/v1/catalogue/items")
    changed = changeable.model_copy(update={"version": 7, "name": "改名的事项"})
    began = time.monotonic()
    await publish(stack.kafka, [changed])

    async def offered() -> bool:
        answer = await intake.call("GET", path, headers=tag)
        return answer.status == 200 and (await answer.json())["name"] == "改名的事项"

    await until(offered)
    assert time.monotonic() - began < 2.0
    listed = await intake.call(
        "GET", "/v1/catalogue/items", headers={"If-None-Match": everything.headers["ETag"]}
    )
    assert listed.status == 200
    event = await stack.accepted(intake, "new-version", item=changed)
    assert (event.item.version, event.item.name) == (7, "改名的事项")

    await stack.producer.send(CATALOGUE_ITEMS, key=changed.code.encode(), value=None, headers=[])

    async def withdrawn() -> bool:
        return (await intake.call("GET", path)).status == 404

    await until(withdrawn)
    # Accepted before it was withdrawn: a repeat is no new request.
    again = await intake.submit(stack.body(changed), "new-version")
    assert again.status == 202
    await problem(await intake.submit(stack.body(changed), "too-late-now"), 404)
