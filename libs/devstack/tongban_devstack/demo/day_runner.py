"""Run the day against a running stack: submissions, kills and faults."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tongban_devstack.demo.plan import FaultSchedule, PlannedVisit
from tongban_devstack.stack import SERVICES, Stack

FINAL = frozenset({"completed", "rejected", "withdrawn", "expired", "failed"})
SETTLED_PRINTS = frozenset({"printed", "cancelled", "expired"})


@dataclass(slots=True)
class Day:
    """State of the day so far; at its end the report queries the simulated outside itself."""

    visits: list[PlannedVisit]
    accepted: dict[str, PlannedVisit] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Intake's newest answer about each accepted request."""
    kills: Counter[str] = field(default_factory=Counter)
    down: set[str] = field(default_factory=set)
    cutting: set[str] = field(default_factory=set)
    """Provinces that act and then drop the connection."""
    happened: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=8))
    """Latest events: monotonic seconds and a description."""
    supplemented: set[str] = field(default_factory=set)
    refused: list[tuple[int, str]] = field(default_factory=list)
    retries: int = 0
    printed: int = 0
    messages: int = 0

    def tell(self, what: str) -> None:
        """Add an event for the live view."""
        self.happened.append((time.monotonic(), what))

    @property
    def share(self) -> float:
        """Return the share of the day's submissions that were answered."""
        return (len(self.accepted) + len(self.refused)) / len(self.visits)

    def by_status(self) -> Counter[str]:
        """Count requests by state; those not read yet count as submitted."""
        counted = Counter(str(answer["status"]) for answer in self.seen.values())
        counted["submitted"] += len(self.accepted) - len(self.seen)
        return +counted

    def settled(self, request_id: str) -> bool:
        """Return True if the request is final and its sheet was printed or given up."""
        answer = self.seen.get(request_id)
        if answer is None or answer["status"] not in FINAL:
            return False
        if answer["status"] != "completed" or not self.accepted[request_id].prints:
            return True
        orders = answer["print_orders"]
        return bool(orders) and all(order["status"] in SETTLED_PRINTS for order in orders)


class DayRunner:
    """Run kiosks that submit, kill processes, inject faults, and watch the requests."""

    def __init__(self, stack: Stack, day: Day, *, seconds: float, schedule: FaultSchedule) -> None:
        self._stack = stack
        self._day = day
        self._seconds = seconds
        self._schedule = schedule
        self._fed = asyncio.Event()
        self._http: aiohttp.ClientSession

    async def run(self, *, patience_s: float = 90.0) -> None:
        """Run until every accepted request has settled, or `patience_s` is over."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as self._http,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._feed())
            group.create_task(self._kill())
            group.create_task(self._trouble())
            group.create_task(self._watch(patience_s))

    async def _feed(self) -> None:
        """Let each kiosk submit its visits in turn; together they take `seconds`."""
        queues: dict[str, list[PlannedVisit]] = {}
        for visit in self._day.visits:
            queues.setdefault(visit.kiosk_id, []).append(visit)
        async with asyncio.TaskGroup() as group:
            for queue in queues.values():
                group.create_task(self._kiosk(queue, self._seconds / len(queue)))
        self._fed.set()

    async def _kiosk(self, queue: list[PlannedVisit], pause_s: float) -> None:
        token = await self._stack.token(queue[0].kiosk_id, queue[0].branch_id)
        for visit in queue:
            await asyncio.sleep(random.uniform(0.5, 1.5) * pause_s)
            await self._submit(visit, token)

    async def _submit(self, visit: PlannedVisit, token: str) -> None:
        """Submit until intake answers clearly, always with the same key."""
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": visit.key}
        url = f"{self._stack.intake}/v1/requests"
        for _ in range(200):
            try:
                async with self._http.post(url, json=visit.body, headers=headers) as reply:
                    if reply.status == 202:
                        self._day.accepted[(await reply.json())["request_id"]] = visit
                        return
                    if reply.status not in (429, 502, 503, 504):
                        self._day.refused.append((reply.status, (await reply.text())[:300]))
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass  # unclear: repeat with the same key
            self._day.retries += 1
            await asyncio.sleep(0.3)
        self._day.refused.append((0, "no clear answer in 200 tries"))

    async def _kill(self) -> None:
        """Send SIGKILL to each kind of process `kills_each` times, at random moments of the day."""
        victims = [name for name in SERVICES for _ in range(self._schedule.kills_each)]
        random.shuffle(victims)
        moments = sorted(random.uniform(0.08, 0.95) for _ in victims)
        for moment, service in zip(moments, victims, strict=True):
            await self._reached(moment)
            name = random.choice(self._stack.replicas(service))
            await self._stack.supervisor.ready(name)  # kill only a process that lives
            self._stack.supervisor.kill(name, signal.SIGKILL)
            self._day.kills[service] += 1
            self._day.tell(f"SIGKILL to {name}")

    async def _reached(self, share: float) -> None:
        """Wait until this share of the day has been submitted."""
        while self._day.share < share:
            await asyncio.sleep(0.05)

    async def _trouble(self) -> None:
        """Let some provinces drop connections after acting, and let two go down and come back."""
        for province in self._schedule.dropping:
            await self._fault(province, {"drop_after_commit_rate": 0.4})
            self._day.cutting.add(province)
        for moment, down in ((self._schedule.down_from, True), (self._schedule.down_until, False)):
            await self._reached(moment)
            for province in self._schedule.down:
                await self._fault(province, {"down": down})
                self._day.tell(f"province {province} {'is down' if down else 'is back'}")
            self._day.down = set(self._schedule.down) if down else set()
        await self._fed.wait()
        await self._control("DELETE", "faults")
        self._day.cutting.clear()

    async def _fault(self, province: str, faults: dict[str, object]) -> None:
        await self._control("PUT", f"faults/{province}", faults)

    async def _control(self, method: str, path: str, body: object = None) -> None:
        """Send a command to the gateways; retry while they are being restarted."""
        url = f"{self._stack.gateways}/{path}"
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self._http.request(method, url, json=body) as reply:
                        reply.raise_for_status()
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.2)

    async def _watch(self, patience_s: float) -> None:
        """Read every open request again and again, as its kiosk would."""
        deadline: float | None = None
        while True:
            open_ = [r for r in list(self._day.accepted) if not self._day.settled(r)]
            for start in range(0, len(open_), 50):
                await asyncio.gather(*(self._read(r) for r in open_[start : start + 50]))
            await self._count_outside()
            if self._fed.is_set():
                deadline = deadline or time.monotonic() + patience_s
                open_ = [r for r in self._day.accepted if not self._day.settled(r)]
                done = not open_ and self._day.messages >= len(self._day.accepted) + len(
                    self._day.supplemented
                )
                if done or time.monotonic() > deadline:
                    return
            await asyncio.sleep(0.5)

    async def _read(self, request_id: str) -> None:
        visit = self._day.accepted[request_id]
        token = await self._stack.token(visit.kiosk_id, visit.branch_id)
        url = f"{self._stack.intake}/v1/requests/{request_id}"
        try:
            async with self._http.get(url, headers={"Authorization": f"Bearer {token}"}) as reply:
                if reply.status == 200:
                    answer = await reply.json()
                    if not answer.get("delayed"):
                        self._day.seen[request_id] = answer
                        if answer["status"] == "needs_supplement":
                            await self._supplement(request_id, token)
        except (aiohttp.ClientError, TimeoutError):
            return  # intake is being killed; the next round reads it again

    async def _supplement(self, request_id: str, token: str) -> None:
        """Hand in the requested supplement once; the key makes a repeat harmless."""
        if request_id in self._day.supplemented:
            return
        visit = self._day.accepted[request_id]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{visit.key}-more"}
        url = f"{self._stack.intake}/v1/requests/{request_id}/supplements"
        body = {"form": visit.body["form"]}
        async with self._http.post(url, json=body, headers=headers) as reply:
            if reply.status == 202:
                self._day.supplemented.add(request_id)

    async def _count_outside(self) -> None:
        for path in ("printed", "messages"):
            try:
                async with self._http.get(f"{self._stack.devices}/{path}") as reply:
                    setattr(self._day, path, len(await reply.json()))
            except (aiohttp.ClientError, TimeoutError):
                return  # the devices are dead for a moment; the next round counts
