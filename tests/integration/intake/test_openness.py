"""What intake says of itself, and what it never says of anyone."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
from aiokafka import AIOKafkaConsumer

from tests.integration.intake.conftest import Replica, Stack, token, until
from tests.integration.intake.test_reading import shown
from tongban_common import topics
from tongban_common.domain.status import Status
from tongban_common.store import Store

CONTRACT = {
    ("/v1/requests", "post"): {202, 400, 401, 403, 404, 408, 413, 415, 422, 429, 503},
    ("/v1/requests/{request_id}", "get"): {200, 401, 403, 404, 503},
    ("/v1/requests/{request_id}/events", "get"): {200, 204, 401, 403, 404, 429, 503},
    ("/v1/requests/{request_id}/supplements", "post"): {202, 409, 422},
    ("/v1/requests/{request_id}/withdrawal", "post"): {202, 409},
    ("/v1/requests/{request_id}/prints", "post"): {202, 409},
    ("/v1/requests/{request_id}/prints/{order_id}/confirmation", "post"): {202, 403, 409, 422},
    ("/v1/requests/{request_id}/rating", "post"): {202, 409, 422},
    ("/v1/requests/{request_id}/documents/{document_id}", "get"): {200, 404, 410, 503},
    ("/v1/verify/{code}", "get"): {200, 404, 429, 503},
    ("/v1/about", "get"): {200, 429},
    ("/v1/token", "post"): {200, 400, 408, 413, 415, 429, 503},
    ("/v1/assistants/session", "post"): {201, 400, 401, 403, 413, 415, 422, 429, 503},
    ("/v1/catalogue/summary", "get"): {200, 401},
    ("/v1/catalogue/items", "get"): {200, 401, 422},
    ("/v1/catalogue/items/{code}", "get"): {200, 401, 404},
}


async def test_the_openapi_document_is_whole(intake: Replica, stack: Stack) -> None:
    document = await (await intake.session.get(f"{intake.url}/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == set(
        CONTRACT
    )
    for (path, method), statuses in CONTRACT.items():
        operation = paths[path][method]
        documented = {int(status) for status in operation["responses"]}
        assert statuses <= documented, (path, documented)
        for status, response in operation["responses"].items():
            kind = "application/problem+json"
            assert (kind in response.get("content", {})) is (int(status) >= 400), (path, status)
    schemas = document["components"]["schemas"]
    references = _references(document)
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in schemas
    sent = paths["/v1/requests"]["post"]["requestBody"]["content"]["application/json"]
    jsonschema_rs.Draft202012Validator(
        {**sent["schema"], "components": {"schemas": schemas}}
    ).validate(sent["example"])
    assert paths["/v1/verify/{code}"]["get"]["security"] == []
    example = stack.catalogue.get(sent["example"]["item_code"])
    assert example is not None
    assert (await intake.submit(sent["example"], "openapi-example")).status == 202


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in _references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in _references(inner)]
    return []


async def test_answers_have_the_documented_shape(intake: Replica, stack: Stack) -> None:
    """The validator raises where an answer has another shape."""
    document = await (await intake.session.get(f"{intake.url}/openapi.json")).json()
    event = await stack.accepted(intake, "openness-shape")
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
    await shown(intake, event.request_id, Status.ROUTED)
    urls = {
        "/v1/requests/{request_id}": f"/v1/requests/{event.request_id}",
        "/v1/catalogue/summary": "/v1/catalogue/summary",
        "/v1/catalogue/items": "/v1/catalogue/items?page_size=5",
        "/v1/catalogue/items/{code}": f"/v1/catalogue/items/{event.item.code}",
    }
    for path, url in urls.items():
        response = document["paths"][path]["get"]["responses"]["200"]
        schema = response["content"]["application/json"]["schema"]
        jsonschema_rs.Draft202012Validator(
            {**schema, "components": document["components"]}
        ).validate(await intake.get(url))


async def test_probes_and_metrics_are_served(intake: Replica, stack: Stack) -> None:
    for path in ("/livez", "/readyz"):
        answer = await intake.session.get(intake.url + path)
        assert (answer.status, await answer.json()) == (200, {"ok": True, "problems": {}})
    assert (await intake.submit(stack.body(), "openness-metrics")).status == 202
    await intake.call("GET", "/v1/requests/r-x")
    metrics = await (await intake.session.get(f"{intake.url}/metrics")).text()
    for line in (
        'tongban_intake_http_requests_total{method="POST",route="/v1/requests",status="202"}',
        'status="404"',
        "tongban_intake_http_seconds_bucket",
        "tongban_intake_accepted_total",
        "tongban_intake_streams_open",
        "tongban_intake_http_in_flight",
    ):
        assert line in metrics, line
    assert "r-x" not in metrics


async def test_every_answer_has_security_headers(intake: Replica) -> None:
    for path, is_shown in (
        ("/v1/catalogue/summary", False),
        ("/nonsense", False),
        ("/kiosk", True),
    ):
        headers = (await intake.call("GET", path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert ("script-src 'self'" in headers["Content-Security-Policy"]) is is_shown
        assert headers.get("Referrer-Policy") == ("no-referrer" if is_shown else None)
        assert "Server" not in headers


async def test_submission_leaves_no_personal_data_in_logs_topics_or_store(stack: Stack) -> None:
    name, phone = "夏侯测试㛃", "13800007731"
    item = stack.printable
    field = next(n for n, s in item.form["properties"].items() if "enum" not in s)
    value = item.example_form[field]
    applicant = item.example_applicant | {"name": name, "phone": phone, "email": "x@secret.cn"}
    secrets = [name, phone, applicant["id_number"], "x@secret.cn"]
    async with stack.replica(TONGBAN_LOG_LEVEL="DEBUG") as intake:
        body = stack.body(applicant=applicant)
        answer = await intake.submit(body, "privacy-0001")
        event = await stack.submitted((await answer.json())["request_id"])
        for number, wrong in enumerate(
            (
                {**body, "applicant": {**applicant, "phone": phone + "9"}},
                {**body, "applicant": {**applicant, "type": "robot"}},
                {**body, "form": {field: [value, name]}},
                {**body, name: phone},
                {**body, "item_code": name},
            )
        ):
            refused = await intake.submit(wrong, f"privacy-wrong-{number}")
            assert refused.status in (404, 422)
            said = await refused.text()
            # The name of a field that was sent comes back as its pointer; no value does.
            assert not [s for s in secrets if s in said and s != name]
        cut = await intake.call(
            "POST",
            "/v1/requests",
            data=json.dumps(body).encode()[:-9],
            headers={"Content-Type": "application/json", "Idempotency-Key": "privacy-cut"},
        )
        assert cut.status == 400
        await stack.tell(event, Status.SUBMITTED, Status.COMPLETED)
        await shown(intake, event.request_id, Status.COMPLETED)
        rating = {"grade": 1, "words": f"{name} {phone} {applicant['id_number']}"}
        await intake.post(f"/v1/requests/{event.request_id}/rating", rating, "privacy-rating")
        log = intake.log
    written = [log.read_bytes(), await _all_records(stack), await _all_documents(stack)]
    assert all(written)
    for text in written:
        for secret in (*secrets, token().partition(".")[2]):
            assert secret.encode() not in text, secret
            assert json.dumps(secret).strip('"').encode() not in text


async def _all_records(stack: Stack) -> bytes:
    consumer = AIOKafkaConsumer(
        topics.REQUESTS_SUBMITTED,
        topics.REQUESTS_COMMANDS,
        topics.REQUESTS_STATUS,
        topics.FEEDBACK_RATED,
        topics.dead_letter(topics.READMODEL_GROUP),
        bootstrap_servers=stack.kafka,
        auto_offset_reset="earliest",
        group_id=None,
    )
    await consumer.start()
    try:
        found: list[bytes] = []
        ends = await consumer.end_offsets(consumer.assignment())
        while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
            for raws in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(raw.value + repr(raw.headers).encode() for raw in raws)
        return b"".join(found)
    finally:
        await consumer.stop()


async def _all_documents(stack: Stack) -> bytes:
    requests = Store(stack.store, "tongban").collection("requests")

    async def some() -> list[Any]:
        found: list[Any] = await requests.find({}).to_list(None)
        return found

    return repr(await until(some)).encode()
