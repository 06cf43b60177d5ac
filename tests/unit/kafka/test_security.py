"""Tests which Kafka settings are accepted, how others are refused, and which clients use them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from pydantic import SecretStr

from tongban_common.exit_codes import EX_CONFIG
from tongban_common.settings import NO_KAFKA_SECURITY, CommonSettings, load
from tongban_devstack.embedded.security import Certificate, CertificateAuthority
from tongban_kafka import (
    EventProducer,
    KafkaCluster,
    KafkaSecurity,
    KafkaSecurityError,
    WorkerConfig,
    client_options,
    warn_of_plaintext,
)
from tongban_router.faust_runtime.broker import broker_credentials

PREFIX = "TONGBAN_KAFKA_"
WORD = "correct-horse"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue("client")


def given(monkeypatch: pytest.MonkeyPatch, **variables: object) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, str(value))


def refused(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        load(CommonSettings)
    assert ended.value.code == EX_CONFIG
    said = capsys.readouterr().err
    assert WORD not in said
    return said.splitlines()


# --- what is accepted


def test_kafka_without_settings_is_plaintext() -> None:
    cluster = load(CommonSettings).cluster
    assert client_options(cluster) == {
        "bootstrap_servers": "127.0.0.1:9092", "security_protocol": "PLAINTEXT"
    }  # fmt: skip


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD", "SASL_PASSWORD_FILE",
             "SSL_CA_FILE", "SSL_CERTIFICATE_FILE", "SSL_KEY_FILE")  # fmt: skip
    given(monkeypatch, **dict.fromkeys(names, ""))
    assert load(CommonSettings).cluster.security == KafkaSecurity()


def test_child_process_without_kafka_security_ignores_its_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(monkeypatch, SECURITY_PROTOCOL="SASL_SSL", SASL_USERNAME="router", SASL_PASSWORD=WORD)
    for name, value in NO_KAFKA_SECURITY.items():
        monkeypatch.setenv(name, value)
    assert load(CommonSettings).cluster.security == KafkaSecurity()


@pytest.mark.parametrize(
    ("mechanism", "used"),
    [(None, "SCRAM-SHA-512"), ("SCRAM-SHA-256", "SCRAM-SHA-256"), ("PLAIN", "PLAIN")],
)
def test_sasl_ssl_reaches_the_client_with_each_mechanism(
    mechanism: str | None,
    used: str,
    monkeypatch: pytest.MonkeyPatch,
    authority: CertificateAuthority,
) -> None:
    given(monkeypatch, SECURITY_PROTOCOL="SASL_SSL", SASL_USERNAME="router", SASL_PASSWORD=WORD,
          SSL_CA_FILE=authority.file)  # fmt: skip
    if mechanism:
        given(monkeypatch, SASL_MECHANISM=mechanism)
    options = client_options(load(CommonSettings).cluster)
    context = options.pop("ssl_context")
    assert options == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": used,
        "sasl_plain_username": "router",
        "sasl_plain_password": WORD,
    }
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [ca["subject"] for ca in context.current().get_ca_certs()] == [
        ((("commonName", "tongban test authority"),),)
    ]


def test_password_file_is_read_without_its_line_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(f" {WORD} \r\n")
    given(monkeypatch, SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_USERNAME="router",
          SASL_PASSWORD_FILE=tmp_path / "password")  # fmt: skip
    assert client_options(load(CommonSettings).cluster)["sasl_plain_password"] == f" {WORD} "


def test_client_certificate_reaches_the_context(
    monkeypatch: pytest.MonkeyPatch, authority: CertificateAuthority, certificate: Certificate
) -> None:
    given(monkeypatch, SECURITY_PROTOCOL="SSL", SSL_CA_FILE=authority.file,
          SSL_CERTIFICATE_FILE=certificate.certificate_file,
          SSL_KEY_FILE=certificate.key_file)  # fmt: skip
    options = client_options(load(CommonSettings).cluster)
    assert sorted(options) == ["bootstrap_servers", "security_protocol", "ssl_context"]


# --- what is refused


CONTRADICTIONS: list[tuple[dict[str, str], list[str]]] = [
    ({"SECURITY_PROTOCOL": "TLS"}, ["SECURITY_PROTOCOL"]),
    ({"SASL_MECHANISM": "GSSAPI"}, ["SASL_MECHANISM"]),
    ({"SASL_USERNAME": "router", "SASL_PASSWORD": WORD}, ["SASL_USERNAME", "SASL_PASSWORD"]),
    ({"SASL_MECHANISM": "PLAIN"}, ["SASL_MECHANISM"]),
    ({"SSL_CA_FILE": "/ca.pem"}, ["SSL_CA_FILE"]),
    ({"SECURITY_PROTOCOL": "SSL", "SASL_PASSWORD": WORD}, ["SASL_PASSWORD"]),
    ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "r", "SASL_PASSWORD": WORD,
      "SSL_CA_FILE": "/ca.pem"}, ["SSL_CA_FILE"]),
    ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "router"}, ["SASL_PASSWORD"]),
    ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": WORD}, ["SASL_USERNAME"]),
    ({"SECURITY_PROTOCOL": "SASL_SSL"}, ["SASL_USERNAME", "SASL_PASSWORD"]),
    ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "r", "SASL_PASSWORD": WORD,
      "SASL_PASSWORD_FILE": "/password"}, ["SASL_PASSWORD_FILE"]),
    ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "r", "SASL_PASSWORD_FILE": "/not/there"},
     ["SASL_PASSWORD_FILE"]),
    ({"SECURITY_PROTOCOL": "SSL", "SSL_CA_FILE": "/not/there"}, ["SSL_CA_FILE"]),
    ({"SECURITY_PROTOCOL": "SSL", "SSL_CA_FILE": "/"}, ["SSL_CA_FILE"]),
    ({"SECURITY_PROTOCOL": "SSL", "SSL_KEY_FILE": "/key.pem"}, ["SSL_KEY_FILE"]),
    ({"SECURITY_PROTOCOL": "SSL", "SSL_CERTIFICATE_FILE": "/c.pem"}, ["SSL_CERTIFICATE_FILE"]),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "named"), CONTRADICTIONS)
def test_contradictory_or_incomplete_setting_is_one_line_and_78(
    variables: dict[str, str],
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given(monkeypatch, **variables)
    lines = refused(capsys)
    assert [line.partition(":")[0] for line in lines] == [PREFIX + name for name in named]


@pytest.mark.parametrize("contents", [b"", b"\n", b"\xff\xfe"])
def test_password_file_without_a_password_is_refused(
    contents: bytes,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "password").write_bytes(contents)
    given(monkeypatch, SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_USERNAME="router",
          SASL_PASSWORD_FILE=tmp_path / "password")  # fmt: skip
    (line,) = refused(capsys)
    assert line.startswith(f"{PREFIX}SASL_PASSWORD_FILE: ")


def encrypted_key(tmp_path: Path) -> Path:
    file = tmp_path / "encrypted.key"
    scheme = BestAvailableEncryption(b"pass phrase")
    key = ec.generate_private_key(ec.SECP256R1())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, scheme))
    return file


def foreign_key(tmp_path: Path) -> Path:
    return CertificateAuthority(tmp_path / "other").issue("client").key_file


def no_key(tmp_path: Path) -> Path:
    (tmp_path / "no.key").write_text("not a key")
    return tmp_path / "no.key"


@pytest.mark.parametrize(
    ("make", "says"),
    [(encrypted_key, "KEY_FILE: the key is encrypted"), (foreign_key, "KEY_FILE: not the key of"),
     (no_key, "CERTIFICATE_FILE: it or")],
)  # fmt: skip
def test_key_that_cannot_be_used_is_refused_without_asking_at_the_terminal(
    make: Any, says: str, tmp_path: Path, certificate: Certificate
) -> None:
    with pytest.raises(KafkaSecurityError) as refused_:
        KafkaSecurity(
            protocol="SSL",
            certificate_file=certificate.certificate_file,
            key_file=make(tmp_path),
        ).arguments()
    (line,) = refused_.value.lines
    assert line.startswith(f"{PREFIX}SSL_{says}")


def test_ca_file_without_a_certificate_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, SECURITY_PROTOCOL="SSL", SSL_CA_FILE=no_key(tmp_path))
    (line,) = refused(capsys)
    assert line.startswith(f"{PREFIX}SSL_CA_FILE: the file holds no certificate")


# --- the password stays where it is


def test_password_is_in_no_text_of_settings_cluster_worker_or_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(monkeypatch, SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_USERNAME="router",
          SASL_PASSWORD=WORD)  # fmt: skip
    settings = load(CommonSettings)
    producer = EventProducer(settings.cluster)
    texts = [
        each
        for thing in (
            settings,
            settings.cluster,
            settings.cluster.security,
            WorkerConfig(bootstrap=settings.cluster, group="g"),
            producer,
            broker_credentials(settings.cluster),
        )
        for each in (str(thing), repr(thing))
    ]
    assert not [text for text in texts if WORD in text]
    assert producer.readiness() == "no connection to Kafka at 127.0.0.1:9092"


# --- Faust


def test_faust_gets_no_credentials_for_plaintext() -> None:
    assert broker_credentials("127.0.0.1:9092") is None


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_faust_connects_with_the_arguments_of_all_clients(protocol: Any) -> None:
    """Faust's own function makes arguments of aiokafka from the credentials."""
    from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth  # noqa: PLC0415

    sasl = {"username": "router", "password": SecretStr(WORD)} if "SASL" in protocol else {}
    cluster = KafkaCluster("127.0.0.1:9092", KafkaSecurity(protocol=protocol, **sasl))  # type: ignore[arg-type]
    made = dict(credentials_to_aiokafka_auth(broker_credentials(cluster)))
    wanted = client_options(cluster)
    del wanted["bootstrap_servers"]
    assert {name: value for name, value in made.items() if value is not None} == wanted


# --- outside development


@pytest.mark.parametrize(
    ("protocol", "environment", "warned"),
    [
        ("PLAINTEXT", "production", True),
        ("SASL_PLAINTEXT", "production", True),
        ("SSL", "production", False),
        ("SASL_SSL", "production", False),
        ("PLAINTEXT", "development", False),
    ],
)
def test_unencrypted_kafka_is_warned_of_outside_development(
    protocol: Any, environment: str, warned: bool
) -> None:
    sasl = {"username": "router", "password": SecretStr(WORD)} if "SASL" in protocol else {}
    cluster = KafkaCluster("127.0.0.1:9092", KafkaSecurity(protocol=protocol, **sasl))  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        warn_of_plaintext(cluster, environment)
    assert [line["log_level"] for line in logs] == ["warning"] * warned
    assert all("in clear" in line["risk"] for line in logs)


# --- every client


def test_every_kafka_client_of_the_project_is_made_by_client_options() -> None:
    """`bootstrap_servers=` elsewhere would be a client without TLS and SASL; so would a cluster of
    the settings that is passed on as its bare address."""
    asking_itself = {"libs/devstack/tongban_devstack/embedded/kafka.py"}
    made: dict[str, list[str]] = {}
    bare: dict[str, list[str]] = {}
    for tree in ("libs", "services", "tools"):
        for file in (ROOT / tree).rglob("*.py"):
            name = file.relative_to(ROOT).as_posix()
            text = file.read_text()
            if "bootstrap_servers" in text and name != "libs/kafka/tongban_kafka/security.py":
                made[name] = [line for line in text.splitlines() if "bootstrap_servers" in line]
            passed = [
                line.strip()
                for line in text.splitlines()
                if any(
                    bare_address in line.replace("settings.kafka}", "")
                    for bare_address in ("settings.kafka", ").kafka")
                )
            ]
            if passed:
                bare[name] = passed
    assert set(made) == asking_itself
    assert bare == {
        "services/router/tongban_router/faust_runtime/app.py": [
            'broker=[f"kafka://{address}" for address in settings.kafka.split(",")],'
        ]
    }
