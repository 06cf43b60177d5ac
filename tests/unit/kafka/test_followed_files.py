"""Credentials that follow their files."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tongban_devstack.embedded.security import Certificate, CertificateAuthority
from tongban_devstack.files import write_atomically
from tongban_kafka import KafkaCluster, KafkaSecurity


def password_of(file: Path) -> object:
    security = KafkaSecurity(protocol="SASL_PLAINTEXT", username="router", password_file=file)
    return KafkaCluster("127.0.0.1:1", security).security_arguments()["sasl_plain_password"]


def test_password_of_replaced_file_is_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    password = password_of(file)
    assert password == "first"
    write_atomically(file, b"second\n")
    assert password.current() == "second"  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_password_of_unusable_file_stays_and_is_complained_of_once(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    password = password_of(file)
    if content is None:
        file.unlink()
    else:
        write_atomically(file, content)
    with capture_logs() as logs:
        assert [password.current() for _ in range(3)] == ["first"] * 3  # type: ignore[attr-defined]
    (line,) = logs
    assert line["event"] == "kafka_credentials_unusable"
    write_atomically(file, b"second")
    assert password.current() == "second"  # type: ignore[attr-defined]


def connects(client: ssl.SSLContext, server: Certificate, trusted: CertificateAuthority) -> bool:
    """Return True if both sides finish a handshake in which each shows a certificate."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(server.certificate_file, server.key_file)
    theirs.load_verify_locations(trusted.file)
    theirs.verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = theirs.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(6):
        for side in (ours, other):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return len(done) == 2


def test_connection_uses_authority_and_certificate_that_the_files_have_then(
    tmp_path: Path,
) -> None:
    old, new = (CertificateAuthority(tmp_path / name, name) for name in ("old", "new"))
    files = {name: tmp_path / name for name in ("ca.pem", "client.crt", "client.key")}

    def give(authority: CertificateAuthority) -> None:
        made = authority.issue("client")
        for file, source in zip(
            files.values(), (authority.file, made.certificate_file, made.key_file), strict=True
        ):
            write_atomically(file, source.read_bytes())

    give(old)
    security = KafkaSecurity(
        protocol="SSL", ca_file=files["ca.pem"], certificate_file=files["client.crt"],
        key_file=files["client.key"],
    )  # fmt: skip
    context = KafkaCluster("127.0.0.1:1", security).security_arguments()["ssl_context"]
    assert connects(context, old.issue("broker"), old)
    assert not connects(context, new.issue("broker"), new)
    give(new)
    assert connects(context, new.issue("broker"), new)
    assert not connects(context, old.issue("broker"), old)


def test_certificate_without_its_new_key_leaves_the_old_pair_in_use(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "authority")
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"
    made = authority.issue("client", expires_in=timedelta(days=3))
    write_atomically(certificate, made.certificate_file.read_bytes())
    write_atomically(key, made.key_file.read_bytes())
    security = KafkaSecurity(
        protocol="SSL", ca_file=authority.file, certificate_file=certificate, key_file=key
    )
    context = KafkaCluster("127.0.0.1:1", security).security_arguments()["ssl_context"]
    server = authority.issue("broker")
    made = authority.issue("client")
    write_atomically(certificate, made.certificate_file.read_bytes())
    with capture_logs() as logs:
        assert connects(context, server, authority)
    assert [line["event"] for line in logs] == ["kafka_credentials_unusable"]
    write_atomically(key, made.key_file.read_bytes())
    with capture_logs() as logs:
        assert connects(context, server, authority)
    assert [line["event"] for line in logs] == ["kafka_credentials_changed"]
