"""Run child processes that cannot outlive their parent, however it ends."""

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

# Fork all children from this one thread, which lives as long as the process: the kernel ties a
# child to the *thread* that forked it, and a thread of a caller's pool might end long before.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")


def _bytecode() -> dict[str, str]:
    """Return variables that let children write bytecode to the user's cache if Python is told to
    write none.

    Children start again and again, and compiling takes two of their three seconds.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and not os.environ.get("PYTHONPYCACHEPREFIX"):
        return {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(user_cache() / "bytecode"),
        }
    return {}


def tied_to_parent(argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` so that the kernel kills it when the thread that started
    it ends (Linux only, see launch.py)."""
    return [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *argv]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """Command of a child: `argv[0]` is a program's path, `env` is added to the parent's
    environment."""

    name: str
    argv: Sequence[str]
    log: Path
    """File to which standard output and standard error are appended."""
    env: Mapping[str, str] = field(default_factory=dict)


class ChildProcess:
    """A running child, leader of its own process group.

    Ctrl-C at the terminal therefore reaches the parent only, which stops its children in order; and
    the group includes what a child has forked.
    """

    def __init__(self, spec: ChildSpec) -> None:
        """Start the process. Blocks for the few milliseconds of a fork.

        Raises:
            OSError: the log cannot be opened or no process can be created.
        """
        self.spec = spec
        self._popen: subprocess.Popen[bytes] = _FORKER.submit(self._fork).result()
        self._unreaped = threading.Lock()  # held while `alive`, the pid is valid
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
            # Signal before reaping: until then no other process or group can get its number.
            self._signal_group(signal.SIGKILL)
            self._ended.set_result(self._popen.wait())

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return not self._ended.done()

    async def wait(self) -> int:
        """Wait for the end and return the exit code; a negative one is the signal that ended it."""
        return await asyncio.wrap_future(self._ended)

    def send_signal(self, number: int) -> None:
        """Signal the process only, not its children; do nothing if it ended.

        After SIGSTOP all its threads stand still: on a busy machine they may run for milliseconds
        after the signal, and answer a request.
        """
        with self._unreaped:
            if self.alive:
                os.kill(self.pid, number)
                if number == signal.SIGSTOP:
                    os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    async def stop(self, grace: float) -> int:
        """Send SIGTERM, and after `grace` seconds (or on cancellation) SIGKILL to the group."""
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
        """Send SIGKILL to the process and its children; do nothing if it ended."""
        with self._unreaped:
            if self.alive:
                self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        # The group does not exist between fork and setsid: then the process is alone.
        try:
            os.killpg(self.pid, number)
        except PermissionError:  # macOS raises it if the group has only zombies
            pass
        except ProcessLookupError:
            os.kill(self.pid, number)

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of the log, for a message about a failed start."""
        with suppress(OSError), self.spec.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""
