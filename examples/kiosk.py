"""A kiosk in Python: hand a request in and follow it to its end.

Needs the standard library alone. Run it with the ready line of `tongban up`:

    .venv/bin/python examples/kiosk.py out/up.json
"""

# ruff: noqa: S310 (the address is that of the ready line)
import json
import sys
import time
import uuid
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

READY = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
HEADERS = {"Authorization": f"Bearer {READY['token']}", "Content-Type": "application/json"}


def ask(path: str, body: dict | None = None, **headers: str) -> dict:
    """Send a GET, or a POST with a body, until there is a clear answer: the same body under the
    same Idempotency-Key is one request, however often a reset, a time-out or a 503 repeats it."""
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
        except OSError:
            pause = min(2**attempt, 10)
        time.sleep(pause)
    raise SystemExit(f"no clear answer to {path}")


found = ask("/v1/catalogue/items?" + urlencode({"q": "社保缴费证明"}))["items"]
# With its form as a JSON Schema, and an example of it.
item = ask(f"/v1/catalogue/items/{found[0]['code']}")
submission = {
    "item_code": item["code"],
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
