"""Enrolment records, key files, assertions and PINs: what needs no broker."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from tongban_common.base64url import encode
from tongban_intake.access.enrolment import assertion, assistants
from tongban_intake.access.enrolment.assertion import InvalidAssertionError
from tongban_intake.access.enrolment.keyfiles import (
    KeyFileError,
    public_x,
    read_private,
    read_public,
    thumbprint,
    write_private,
)
from tongban_intake.access.enrolment.kiosks import (
    EnrolmentError,
    KioskKey,
    KioskRecord,
    enrolled,
    revoked,
)
from tongban_intake.access.replay_guard import AssertionReplayGuard
from tongban_intake.problems import Kind, ProblemError
from tongban_kafka import KafkaUnavailableError, Record

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
URL = "https://intake.example/v1/token"


def on_record(key: Ed25519PrivateKey) -> KioskKey:
    x = public_x(key.public_key())
    return KioskKey(kid=thumbprint(x), x=x, added_at=NOW)


def enrol(known: KioskRecord | None, key: Ed25519PrivateKey = KEY, **more: Any) -> KioskRecord:
    asked = {"branch_id": None, "zone": None, "replace": False, "now": NOW, **more}
    return enrolled(known, kiosk_id="k-1", key=on_record(key), **asked)


FIRST = enrol(None, branch_id="b-1")


# --- records


def test_enrolling_again_changes_nothing_and_another_key_joins() -> None:
    assert enrol(FIRST) == FIRST
    both = enrol(FIRST, OTHER)
    assert [key.kid for key in both.keys] == [on_record(KEY).kid, on_record(OTHER).kid]
    assert both.epoch == FIRST.epoch, "tokens that were got with the old key go on"


def test_enrolment_change_that_removes_a_right_voids_running_tokens() -> None:
    both = enrol(FIRST, OTHER)
    replaced = enrol(both, OTHER, replace=True)
    assert [key.kid for key in replaced.keys] == [on_record(OTHER).kid]
    one_less = revoked(both, now=NOW, reason=None, kid=on_record(KEY).kid)
    moved = enrol(FIRST, branch_id="b-2")
    gone = revoked(both, now=NOW, reason="stolen")
    for changed in (replaced, one_less, moved, gone):
        assert changed.epoch == both.epoch + 1
    assert (gone.valid, gone.keys) == (False, ())
    back = enrol(gone, OTHER)
    assert back.valid
    assert (back.branch_id, back.epoch) == ("b-1", gone.epoch), "tokens of before stay void"
    assert revoked(gone, now=NOW, reason="again") == gone


def test_enrolment_refuses_with_a_reason() -> None:
    with pytest.raises(EnrolmentError, match="at which branch"):
        enrol(None)
    with pytest.raises(ValidationError):
        enrol(None, branch_id="b 1")
    with pytest.raises(ValidationError):
        enrol(None, branch_id="b", zone="mars")
    full = FIRST
    for _ in range(2):
        full = enrol(full, Ed25519PrivateKey.generate())
    with pytest.raises(EnrolmentError, match="has 3 keys"):
        enrol(full, Ed25519PrivateKey.generate())
    for kid, why in ((on_record(OTHER).kid, "has no key"), (on_record(KEY).kid, "last key")):
        with pytest.raises(EnrolmentError, match=why):
            revoked(FIRST, now=NOW, reason=None, kid=kid)
    with pytest.raises(EnrolmentError, match="ever enrolled"):
        revoked(None, now=NOW, reason=None)


# --- key files


def test_keys_are_read_as_pem_and_jwk_and_kept_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "k" / "k-1.pem"
    write_private(path, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_private(path, OTHER)
    x = public_x(KEY.public_key())
    raw = KEY.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": x}
    private = json.dumps({**jwk, "d": encode(raw)})
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (pem, json.dumps(jwk)):
        assert public_x(read_public(text)) == x
    for text in (path.read_text(), private):
        assert public_x(read_private(text).public_key()) == x
        with pytest.raises(KeyFileError, match="private"):
            read_public(text)


def test_a_thumbprint_is_that_of_rfc_8037() -> None:
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert thumbprint(x) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{", "{}", "[]", '{"kty": "OKP", "crv": "X25519"}']
)
def test_malformed_key_is_refused_without_being_quoted(text: str) -> None:
    for read in (read_public, read_private):
        with pytest.raises(KeyFileError):
            read(text)


def test_keys_of_another_kind_are_refused() -> None:
    other = generate_private_key(SECP256R1())
    pem = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(KeyFileError, match="Ed25519"):
        read_public(pem)


# --- assertions


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"iss": "k-1", "sub": "k-1", "aud": URL, "iat": now, "exp": now + 60, "jti": "j"}
    return {k: v for k, v in {**whole, **changes}.items() if v is not None}


def signed(
    key: Any = KEY, algorithm: str = "EdDSA", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def test_an_assertion_proves_its_kiosk_by_any_of_its_keys() -> None:
    both = enrol(FIRST, OTHER)
    for key in (KEY, OTHER):
        token = assertion.sign(key, kiosk_id="k-1", audience=URL)
        assert assertion.claimed_kiosk(token) == "k-1"
        assert assertion.verify(token, both, audiences=["http://else", URL]).kiosk_id == "k-1"
    assert assertion.verify(signed(OTHER), both, audiences=[URL]).jti == "j", "kid is optional"


def _hostile() -> dict[str, str]:
    now = int(time.time())
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    unsigned = f"{head}.{encode(json.dumps(claims()).encode())}."
    return {
        "another's key": signed(OTHER),
        "another's key under our kid": signed(OTHER, headers={"kid": on_record(KEY).kid}),
        "an unknown kid": signed(headers={"kid": "else"}),
        "no signature": unsigned,
        "an unknown critical extension": signed(headers={"crit": ["x"], "x": 1}),
        "the public key as a shared secret": jwt.encode(
            claims(), public.hex().encode(), algorithm="HS256"
        ),
        "another curve": signed(generate_private_key(SECP256R1()), "ES256"),
        "another audience": signed(aud="https://intake.example/"),
        "no audience": signed(aud=None),
        "another subject": signed(sub="k-2"),
        "another kiosk": signed(iss="k-2", sub="k-2"),
        "out of date": signed(iat=now - 200, exp=now - 100),
        "from the future": signed(iat=now + 200, exp=now + 260),
        "lives too long": signed(exp=now + 301),
        "ends before it begins": signed(exp=now - 1),
        "no end": signed(exp=None),
        "an end beyond all time": signed(exp=float("inf")),
        "a beginning that is no number": signed(iat=float("nan")),
        "a text for a time": signed(exp="tomorrow"),
        "no id": signed(jti=None),
        "a very long id": signed(jti="j" * 129),
    }


@pytest.mark.parametrize("what", _hostile())
def test_an_assertion_is_not_believed(what: str) -> None:
    with pytest.raises(InvalidAssertionError):
        assertion.verify(_hostile()[what], FIRST, audiences=[URL])


@pytest.mark.parametrize("text", ["", "a.b.c", "中文", "e30.e30.e30", "." * 4000, "[" * 2000])
def test_malformed_jwt_is_refused_as_assertion(text: str) -> None:
    with pytest.raises(InvalidAssertionError):
        assertion.claimed_kiosk(text)
    with pytest.raises(InvalidAssertionError):
        assertion.verify(text, FIRST, audiences=[URL])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Partition:
    """One partition that replicas write to and read back, a record at a time."""

    def __init__(self) -> None:
        self.readers: list[AssertionReplayGuard] = []
        self.written: list[tuple[bytes, bytes]] = []
        self.away = False

    async def send(self, _: str, *, key: Any, value: Any, headers: Any) -> None:
        assert headers == []
        if self.away:
            raise KafkaUnavailableError("away")
        self.written.append((key, value))

    def deliver(self) -> None:
        for offset, (key, value) in enumerate(self.written):
            record = Record("t", 0, offset, 0, key, value, [], maybe_seen=False, assigned_at=0.0)
            for reader in self.readers:
                reader.on_record(record)
        self.written.clear()

    def replica(self, **more: Any) -> AssertionReplayGuard:
        claims = AssertionReplayGuard(self, **more)
        self.readers.append(claims)
        return claims


async def test_of_all_replicas_one_takes_an_assertion() -> None:
    partition = Partition()
    replicas = [partition.replica() for _ in range(3)]
    uses = [asyncio.create_task(each.claim("k-1", "j")) for each in replicas * 2]
    other = asyncio.create_task(replicas[0].claim("k-2", "j"))
    await asyncio.sleep(0)
    assert len(partition.written) == 7
    partition.deliver()
    assert sorted(await asyncio.gather(*uses)) == [False] * 5 + [True]
    assert await other
    for replica in replicas:
        assert not await replica.claim("k-1", "j"), "known without asking"
    assert partition.written == []


async def test_an_assertion_is_remembered_while_it_lives_and_none_is_forgotten_for_room() -> None:
    clock, partition = Clock(), Partition()
    claims = partition.replica(enough=2, monotonic=clock)

    async def use(kiosk_id: str) -> bool:
        using = asyncio.create_task(claims.claim(kiosk_id, "j"))
        await asyncio.sleep(0)
        partition.deliver()
        return await using

    assert [await use(each) for each in ("k-1", "k-2", "k-1")] == [True, True, False]
    with pytest.raises(ProblemError) as full:
        await use("k-3")
    assert full.value.kind is Kind.UNAVAILABLE
    clock.now += assertion.LONGEST_LIFE + assertion.LEEWAY
    assert not await use("k-1")
    clock.now += assertion.LEEWAY + 1
    assert await use("k-3")


async def test_without_kafka_no_assertion_is_taken() -> None:
    partition = Partition()
    claims = partition.replica()
    assert claims.readiness() == "not listening yet"
    partition.away = True
    with pytest.raises(ProblemError) as away:
        await claims.claim("k-1", "j")
    assert away.value.kind is Kind.UNAVAILABLE


# --- PINs


def test_a_pin_is_kept_as_a_hash_that_needs_the_secret() -> None:
    kept = assistants.hash_pin("s", "730518")
    assert assistants.pin_fits("s", kept, "730518")
    assert not assistants.pin_fits("s", kept, "730519")
    assert not assistants.pin_fits("another secret", kept, "730518")
    assert "730518" not in kept.model_dump_json()
    assert kept.secret_id == assistants.secret_id("s") != assistants.secret_id("another secret")


@pytest.mark.parametrize("pin", ["", "12345", "000000", "123456", "987654", "12345a", "1" * 13])
def test_malformed_or_guessable_pin_is_refused(pin: str) -> None:
    with pytest.raises(EnrolmentError):
        assistants.hash_pin("s", pin)


def test_a_new_pin_and_a_revocation_end_open_sign_ins() -> None:
    pin = assistants.PinHash(salt="", digest="")
    first = assistants.enrolled(None, assistant_id="lm-1", branch_id="b-1", pin=pin, now=NOW)
    again = assistants.enrolled(first, assistant_id="lm-1", branch_id=None, pin=pin, now=NOW)
    gone = assistants.revoked(again, now=NOW + timedelta(hours=1))
    assert [each.epoch for each in (first, again, gone)] == [0, 1, 2]
    assert (gone.pin, gone.valid) == (None, False)
    assert assistants.revoked(gone, now=NOW) == gone
