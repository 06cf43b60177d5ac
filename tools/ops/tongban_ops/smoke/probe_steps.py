"""Follow one request from the kiosk to its sheet and its message."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable
from typing import Any

from tongban_ops.smoke.door_steps import DoorSteps
from tongban_ops.smoke.intake_client import IntakeClient
from tongban_ops.smoke.results import StepFailedError, StepSkippedError

_LOOK_S = 0.25
_STREAM_S = 10.0
"""Seconds for which the stream may lag behind what `GET` shows."""
_FINAL = frozenset({"completed", "rejected", "withdrawn", "expired", "failed"})
_HINTS = {
    "submitted": "no router took it up, or intake does not project: are they ready?",
    "routed": "its connector has not called the province: is it ready?",
    "waiting_for_province": "the province is paused, closed or down: `tongban province list`",
    "accepted": "the province has accepted it, and has not decided",
    "needs_supplement": "the province wants more than the form has: give another --request",
    "held": "a dead letter holds it up: `tongban dlt list --request {request_id}`",
}


class ProbeSteps:
    """Runs the steps of the probe request, one after the other."""

    def __init__(self, client: IntakeClient, door: DoorSteps, *, patience_s: float) -> None:
        self._client = client
        self._door = door
        self._patience_s = patience_s
        self._body: dict[str, Any] = {}
        self._key = f"smoke-{uuid.uuid4().hex}"
        self._state: dict[str, Any] = {}
        self._streaming: asyncio.Task[list[str]] | None = None
        self.request_id: str | None = None

    async def submit(self) -> str:
        """Submit the probe, and start to follow its stream."""
        item, self._body = await self._door.probe_body()
        reply = await self._client.post("/v1/requests", self._body, key=self._key)
        if reply.status != 202 or not isinstance(reply.body, dict):
            raise StepFailedError(reply.reason)
        self.request_id = str(reply.body["request_id"])
        self._streaming = asyncio.create_task(self._stream(), name="smoke-events")
        return f"{self.request_id}: {item['code']} {item['name']}, {item['province']}"

    async def repeat(self) -> str:
        """Submit the same with the same key: it has to be the same request."""
        reply = await self._client.post("/v1/requests", self._body, key=self._key)
        found = reply.body.get("request_id") if isinstance(reply.body, dict) else None
        if reply.status != 202 or found != self.request_id:
            raise StepFailedError(f"another answer to the same key: {reply.reason}")
        return "the same key is the same request"

    async def completed(self) -> str:
        """Wait for the end; withdraw the request if it does not come, so that it has no effect
        later."""
        state = await self._wait(lambda state: state["status"] in _FINAL)
        status, reason = state["status"], state.get("reason", "")
        if status == "completed":
            return f"after {len(state['timeline'])} statuses"
        if status in _FINAL:
            raise StepFailedError(f"ended as {status} {reason}".rstrip())
        hint = _HINTS.get(status, "").format(request_id=self.request_id)
        raise StepFailedError(
            f"still {status} after {self._patience_s:g} s: {hint}; {await self._withdraw()}"
        )

    async def events(self) -> str:
        """Check that the stream of server-sent events showed the end, too."""
        assert self._streaming is not None  # noqa: S101 - `submit` has passed
        try:
            async with asyncio.timeout(_STREAM_S):
                seen = await self._streaming
        except TimeoutError:
            raise StepFailedError(
                f"the stream has not shown the end {_STREAM_S:g} s after it (does a proxy buffer?)"
            ) from None
        return " ".join(seen)

    async def paper(self) -> str:
        """Wait for the sheet to be printed, and compare the document with its hash."""
        if not self._body.get("print"):
            raise StepSkippedError("not asked for (--print)" if "print" in self._body else "none")
        state = await self._wait(
            lambda state: (
                bool(state["print_orders"])
                and state["print_orders"][0]["status"] in ("printed", "cancelled", "expired")
            )
        )
        if not state["print_orders"]:
            raise StepFailedError(
                f"no print order after {self._patience_s:g} s: is printing ready?"
            )
        order = state["print_orders"][0]
        if order["status"] != "printed":
            raise StepFailedError(
                f"order {order['order_id']} is {order['status']} {order.get('reason', '')}".rstrip()
            )
        return f"order {order['order_id']} is printed; {await self._document(state)}"

    async def message(self) -> str:
        """Wait for the message to the applicant."""
        state = await self._wait(lambda state: bool(state["messages"]))
        if not state["messages"]:
            raise StepFailedError(
                f"none after {self._patience_s:g} s: is notify ready? are these its quiet hours?"
            )
        message = state["messages"][0]
        told = f"{message['template']} by {message['channel']}: {message['status']}"
        if message["status"] == "suppressed":
            raise StepSkippedError(f"{told} (`tongban optout list`)")
        if message["status"] != "sent":
            raise StepFailedError(told)
        return told

    async def close(self) -> None:
        """Stop following the stream."""
        if self._streaming is not None:
            self._streaming.cancel()
            await asyncio.gather(self._streaming, return_exceptions=True)

    async def _wait(self, over: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read the request until `over`, or patience ends; an answer that fails is asked again."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                reply = await self._client.get(f"/v1/requests/{self.request_id}")
                state = self._state = reply.object_of("reading the request")
                if over(state):
                    return state
            except StepFailedError:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                return self._state
            await asyncio.sleep(_LOOK_S)

    async def _document(self, state: dict[str, Any]) -> str:
        document = state["documents"][0]
        path = f"/v1/requests/{self.request_id}/documents/{document['document_id']}"
        reply = await self._client.get(path)
        if reply.status != 200:
            raise StepFailedError(f"its document: {reply.reason}")
        if hashlib.sha256(reply.content).hexdigest() != document["sha256"]:
            raise StepFailedError("its document is not the one of its SHA-256")
        return f"its document is {len(reply.content)} bytes"

    async def _withdraw(self) -> str:
        path = f"/v1/requests/{self.request_id}/withdrawal"
        try:
            reply = await self._client.post(path, {}, key=f"{self._key}-withdrawal")
        except StepFailedError as error:
            return f"it could not be withdrawn ({error})"
        if reply.status == 202:
            return "its withdrawal is submitted"
        return f"it could not be withdrawn ({reply.reason})"

    async def _stream(self) -> list[str]:
        """Return the statuses that the stream shows, up to the final one."""
        seen: list[str] = []
        async for name, data in self._client.events(f"/v1/requests/{self.request_id}/events"):
            if name == "status" and not data.get("note"):
                seen.append(str(data["status"]))
                if seen[-1] in _FINAL:
                    return seen
        raise StepFailedError(f"the stream ended after {' '.join(seen) or 'nothing'}")
