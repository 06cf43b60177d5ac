"""What a stack keeps in its directory: ports, secrets, the lock."""

from __future__ import annotations

import json
import socket
import stat
import threading
from pathlib import Path

import pytest

from tongban_common.envelope import KeyRing
from tongban_devstack import ports
from tongban_devstack.files import InUseError, exclusive, write_atomically
from tongban_devstack.ports import PortRegistry, free_port
from tongban_devstack.secrets_file import stack_secrets


def listener(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    return server


def test_free_ports_are_never_those_of_outgoing_connections() -> None:
    found = {free_port() for _ in range(200)}
    assert len(found) == 200
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(found) < lowest


def test_ports_stay_from_run_to_run(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    names = ("kafka", "store", "intake-0")
    first = {name: PortRegistry(path).port(name) for name in names}
    assert {name: PortRegistry(path).port(name) for name in names} == first
    assert len(set(first.values())) == 3


def test_a_port_that_another_took_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_PATIENCE_S", 0.1)
    path = tmp_path / "ports.json"
    before = PortRegistry(path).port("kafka")
    with listener(before):
        after = PortRegistry(path).port("kafka")
    assert after != before
    assert PortRegistry(path).port("kafka") == after


def test_a_port_that_is_just_being_closed_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    before = PortRegistry(path).port("kafka")
    dying = listener(before)
    threading.Timer(0.3, dying.close).start()
    assert PortRegistry(path).port("kafka") == before


def test_secrets_are_drawn_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    drawn = stack_secrets(tmp_path)
    assert stack_secrets(tmp_path) == drawn
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert set(drawn) == {
        "TONGBAN_KEYRING",
        "TONGBAN_ID_SECRET",
        "TONGBAN_TOKEN_SECRET",
        "TONGBAN_GATEWAY_SECRET",
        "TONGBAN_PSEUDONYM_SECRET",
        "TONGBAN_SMS_KEY",
    }
    assert len(set(drawn.values())) == 6
    assert stat.S_IMODE((tmp_path / "keyring.json").stat().st_mode) == 0o600
    ring = KeyRing.parse(drawn["TONGBAN_KEYRING"])
    sealed = ring.seal("r-1", {"applicant": "王小明"})
    assert ring.open("r-1", sealed, "applicant") == "王小明"


def test_a_directory_of_before_goes_on_with_its_key_and_secrets(tmp_path: Path) -> None:
    old = {"active": "k1", "keys": {"k1": "B" * 43}}
    kept = {"TONGBAN_ID_SECRET": "i", "TONGBAN_KEYRING": json.dumps(old)}
    (tmp_path / "secrets.json").write_text(json.dumps(kept))
    sealed = KeyRing.parse(json.dumps(old)).seal("r-1", {"form": 1})
    found = stack_secrets(tmp_path)
    assert found["TONGBAN_ID_SECRET"] == "i"
    assert found["TONGBAN_PSEUDONYM_SECRET"]
    assert KeyRing.parse(found["TONGBAN_KEYRING"]).open("r-1", sealed, "form") == 1
    assert stack_secrets(tmp_path) == found


def test_another_directory_has_other_secrets(tmp_path: Path) -> None:
    assert stack_secrets(tmp_path / "a") != stack_secrets(tmp_path / "b")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, b"{}")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert json.loads(path.read_text()) == {}
    assert list(tmp_path.iterdir()) == [path]


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "in-use.lock"
    with (
        exclusive(lock, wait=False),
        pytest.raises(InUseError, match=str(tmp_path)),
        exclusive(lock, wait=False),
    ):
        pass
    with exclusive(lock, wait=False):
        pass
