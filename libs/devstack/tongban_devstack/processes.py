"""Child processes that cannot outlive their parent, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tongban_devstack.files import user_cache

_LAUNCH = Path(__file__).with_name("launch.py")

# The kernel ties a child to the *thread* that forked it. All children are forked by this one, which
# lives as long as the process; a thread of some caller's pool might end long before.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")


def _bytecode() -> dict[str, str]:
    """Where Python is told to write no bytecode, children write theirs to the user's cache.

    They are started again and again, and compiling takes them two seconds of three.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and not os.environ.get("PYTHONPYCACHEPREFIX"):
        return {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(user_cache() / "bytecode"),
        }
    return {}


def tied_to_parent(argv: Sequence[str]) -> list[str]:
    """Return what to execute instead of `argv` so that the kernel kills the program when the thread
    that started it ends (Linux alone, see `launch`)."""
    return [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *argv]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run: `argv[0]` is a program's path, `env` is added to the parent's environment."""

    name: str
    argv: Sequence[str]
    log: Path
    """Where standard output and standard error go, appended."""
    env: Mapping[str, str] = field(default_factory=dict)


class ChildProcess:
    """A running child, leader of a process group of its own.

    Own group: a Ctrl-C at the terminal reaches the parent alone, which then stops its children in
    order, and what a child has forked can be ended with it.
    """

    def __init__(self, spec: ChildSpec) -> None:
        """Start it. Blocks for the few milliseconds that a fork takes.

        Raises:
            OSError: the log cannot be opened or no process can be made.
        """
        self.spec = spec
        self._popen: subprocess.Popen[bytes] = _FORKER.submit(self._fork).result()
        self._unreaped = threading.Lock()  # whoever holds it while `alive` can trust the pid
        self._ended: Future[int] = Future()
        self._ended.set_running_or_notify_cancel()  # or a cancelled `wait` would cancel it for all
        threading.Thread(target=self._reap, name=f"reap-{spec.name}", daemon=True).start()

    def _fork(self) -> subprocess.Popen[bytes]:
        spec = self.spec
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - argv is ours
                tied_to_parent(spec.argv),
                env={**os.environ, **_bytecode(), **spec.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _reap(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._unreaped:
            # Until it is reaped, no other process or group can be given its number.
            self._signal_group(signal.SIGKILL)
            self._ended.set_result(self._popen.wait())

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return not self._ended.done()

    async def wait(self) -> int:
        """Its exit code once it has ended; a negative one is the signal that killed it."""
        return await asyncio.wrap_future(self._ended)

    def send_signal(self, number: int) -> None:
        """To the process itself, not to what it has forked; nothing if it has ended."""
        with self._unreaped:
            if self.alive:
                os.kill(self.pid, number)

    async def stop(self, grace: float) -> int:
        """SIGTERM, and after `grace` seconds (or when cancelled) SIGKILL to the whole group."""
        self.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.kill_group()
            return await self.wait()
        except asyncio.CancelledError:
            self.kill_group()
            raise

    def kill_group(self) -> None:
        """SIGKILL to the process and to all that it has forked; nothing if it has ended."""
        with self._unreaped:
            if self.alive:
                self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        # Between fork and setsid the group is not there yet: then the process is alone.
        try:
            os.killpg(self.pid, number)
        except PermissionError:  # macOS says so where the group has zombies only
            pass
        except ProcessLookupError:
            os.kill(self.pid, number)

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log, for a message about why it did not start."""
        with suppress(OSError), self.spec.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""
