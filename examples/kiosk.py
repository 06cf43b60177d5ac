"""A kiosk in Python, with the standard library alone: hand a request in and follow it to its end.

.venv/bin/python examples/kiosk.py up.json      # up.json: the ready line of `tongban up`
"""

# ruff: noqa: S310 (the address is that of the ready line)
import json
import sys
import time
import uuid
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

READY = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
HEADERS = {"Authorization": f"Bearer {READY['token']}", "Content-Type": "application/json"}


def ask(path: str, body: dict | None = None, **headers: str) -> dict:
    """Send a GET, or a POST where there is a body, until there is a clear answer.

    A reset, a time-out and a 503 do not say whether intake has the request. The same body under the
    same Idempotency-Key is one request, however often it arrives.
    """
    data = None if body is None else json.dumps(body).encode()
    for attempt in range(8):
        try:
            request = Request(READY["intake"] + path, data, HEADERS | headers)
            with urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except HTTPError as refusal:
            if refusal.code not in (429, 502, 503, 504):
                raise SystemExit(f"{refusal.code}: {refusal.read().decode()}") from None
            pause = float(refusal.headers.get("Retry-After") or 2**attempt)
        except (URLError, TimeoutError, ConnectionError):
            pause = min(2**attempt, 10)
        time.sleep(pause)
    raise SystemExit(f"no clear answer to {path}")


words = urlencode({"q": "社保缴费证明", "page_size": 1})
code = ask(f"/v1/catalogue/items?{words}")["items"][0]["code"]
item = ask(f"/v1/catalogue/items/{code}")  # with its form as a JSON Schema, and an example of it
submission = {
    "item_code": code,
    "channel": "self_service",
    "applicant": item["example_applicant"],
    "form": item["example_form"],
}
accepted = ask("/v1/requests", submission, **{"Idempotency-Key": str(uuid.uuid4())})
print(f"{item['name']}: accepted as {accepted['request_id']}")

# Server-sent events: the history first, then what happens, until `event: end`.
events = Request(READY["intake"] + accepted["events_url"], headers=HEADERS)
with urlopen(events, timeout=60) as stream:
    for line in stream:
        if line.startswith(b"data: "):
            print(" ", line.decode().removeprefix("data: ").strip())
print(ask(accepted["status_url"])["status"])
