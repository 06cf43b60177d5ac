"""Runs CUPS's `ippeveprinter`, an IPP Everywhere printer, on the loopback interface alone.

`ippeveprinter` does not start without a DNS-SD service. So the kit starts an `avahi-daemon` beside
it, which listens on the loopback interface, publishes nothing, and is reached over a D-Bus socket
in the test's directory. `avahi-daemon` writes its socket to /run, so it has a mount namespace.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tongban_devstack.embedded.security import CertificateAuthority
from tongban_devstack.ports import free_port

_BINARIES = ("ippeveprinter", "avahi-daemon", "dbus-daemon", "unshare")
_BUS = """<busconfig><type>system</type><listen>unix:path={socket}</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_destination="*"/><allow eavesdrop="true"/>
</policy></busconfig>
"""
_AVAHI = """[server]
host-name=kiosk
use-ipv6=no
allow-interfaces=lo
[wide-area]
enable-wide-area=no
[publish]
disable-publishing=yes
"""
_PRIVATE_RUN = (
    "mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon && exec avahi-daemon"
    ' -f "$0" --no-drop-root --no-chroot --no-proc-title --no-rlimits'
)
_COMMAND = """#!/bin/sh
# Prints one job: waits while the file `trouble` is there, which holds the printer's state reason.
cd {directory}
cp "$1" "printed-$$.pdf"
if [ -e trouble ]; then
  reason=$(cat trouble)
  echo "STATE: +$reason" >&2
  while [ -e trouble ]; do sleep 0.05; done
  echo "STATE: -$reason" >&2
fi
echo "ATTR: job-impressions-completed=1" >&2
"""


def missing() -> str | None:
    """Return why no `ippeveprinter` can be run; None if one can."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    absent = [name for name in _BINARIES if shutil.which(name, path=path) is None]
    if absent:
        return f"{', '.join(absent)} missing: apt-get install cups-ipp-utils avahi-daemon dbus"
    if os.geteuid() != 0:
        return "a mount namespace of the test's own needs root"
    return None


@dataclass(frozen=True)
class EvePrinter:
    """A running `ippeveprinter`. It speaks IPP with and without TLS at one port."""

    port: int
    directory: Path
    authority: CertificateAuthority
    """Has signed the printer's certificate."""

    @property
    def url(self) -> str:
        """Return the printer's address without TLS."""
        return f"ipp://localhost:{self.port}/ipp/print"

    @property
    def tls_url(self) -> str:
        """Return the printer's address with TLS."""
        return f"ipps://localhost:{self.port}/ipp/print"

    def stop(self, reason: str) -> None:
        """Let the next job wait, which stays `processing`; the printer reports the reason."""
        (self.directory / "trouble").write_text(reason)

    def go_on(self) -> None:
        """Let the waiting job go on."""
        (self.directory / "trouble").unlink()

    def printed(self) -> list[bytes]:
        """Return the documents of all jobs that were begun."""
        return [file.read_bytes() for file in self.directory.glob("printed-*.pdf")]


@asynccontextmanager
async def eve_printer(directory: Path) -> AsyncIterator[EvePrinter]:
    """Run an `ippeveprinter` that accepts PDF; ended with the context."""
    port, bus = free_port(), directory / "bus"
    command = directory / "command"
    command.write_text(_COMMAND.format(directory=directory))
    command.chmod(0o755)
    (directory / "bus.conf").write_text(_BUS.format(socket=bus))
    (directory / "avahi.conf").write_text(_AVAHI)
    (directory / "spool").mkdir()
    authority = _give_certificate(directory)
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}"}
    async with AsyncExitStack() as stack:
        await _run(
            stack,
            directory,
            ["dbus-daemon", f"--config-file={directory}/bus.conf", "--nofork"],
            env,
        )
        await _until(lambda: _unix_answers(bus), "dbus-daemon")
        avahi = ["unshare", "--mount", "sh", "-c", _PRIVATE_RUN, str(directory / "avahi.conf")]
        await _run(stack, directory, avahi, env)
        log = directory / "unshare.log"
        await _until(lambda: log.exists() and "complete" in log.read_text(), "avahi-daemon")
        printer = [
            "ippeveprinter", "-n", "localhost", "-r", "off", "-p", str(port), "-k",
            "-K", str(directory / "tls"), "-d", str(directory / "spool"),
            "-f", "application/pdf", "-c", str(command), "kiosk",
        ]  # fmt: skip
        await _run(stack, directory, printer, env)
        await _until(lambda: _answers(port), "ippeveprinter")
        yield EvePrinter(port, directory, authority)


def _give_certificate(directory: Path) -> CertificateAuthority:
    """Put a certificate where `ippeveprinter` looks for that of its host name; it would make one
    that is signed by itself."""
    authority = CertificateAuthority(directory / "authority")
    certificate = authority.issue("localhost")
    (directory / "tls").mkdir()
    shutil.copy(certificate.certificate_file, directory / "tls" / "localhost.crt")
    shutil.copy(certificate.key_file, directory / "tls" / "localhost.key")
    return authority


async def _run(
    stack: AsyncExitStack, directory: Path, argv: Sequence[str], env: dict[str, str]
) -> None:
    with (directory / f"{argv[0]}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            env={**env, "PATH": env.get("PATH", "") + ":/usr/sbin"},
        )

    async def end() -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    stack.push_async_callback(end)


async def _until(condition: Callable[[], bool], what: str, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what} is not ready within {within} s"
        await asyncio.sleep(0.05)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def _unix_answers(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True
    return False
