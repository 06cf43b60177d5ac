"""Describe how the store is reached: its URL, TLS and credentials, without the driver.

Every process reads the settings, also one that has no store; the driver's own parser would cost it
the driver's memory. `tongban_common.store.client.store_client` makes the driver's client.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import structlog
from pydantic import SecretStr

from tongban_common.errors import CommonError
from tongban_kafka import SettingFileError, tls

log = structlog.get_logger(__name__)

URL = "TONGBAN_STORE"
USERNAME = "TONGBAN_STORE_USERNAME"
PASSWORD = "TONGBAN_STORE_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_FILE = "TONGBAN_STORE_PASSWORD_FILE"  # noqa: S105 - the name of a variable
AUTH_SOURCE = "TONGBAN_STORE_AUTH_SOURCE"
TLS = "TONGBAN_STORE_TLS"
CA_FILE = "TONGBAN_STORE_TLS_CA_FILE"
CERTIFICATE_FILE = "TONGBAN_STORE_TLS_CERTIFICATE_FILE"
KEY_FILE = "TONGBAN_STORE_TLS_KEY_FILE"
_UNCHECKED = ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames")
_ON = ("true", "1")


class StoreAddressError(CommonError, ValueError):
    """Raised for settings of the store that contradict one another or are incomplete; the text has
    one line for each wrong setting and quotes no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSecurity:
    """Holds the TLS settings and the credentials of a client of the store.

    Args:
        auth_source: database that has the user; "admin" unless the URL names another.
        tls: encrypt, and check the certificate; `ca_file` has the PEM certificates of the
            authorities to trust, None trusts those of the system.
        certificate_file: PEM certificate of this client with its chain; `key_file` is its key,
            which must not be encrypted.
    """

    username: str | None = None
    password: SecretStr | None = None
    auth_source: str | None = None
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


class StoreAddress:
    """Combines the store's URL with the security of all connections to it. `str` is the URL without
    credentials and options; neither `str` nor `repr` shows a secret.

    Raises:
        StoreAddressError: the settings cannot be used. The constructor reads the files.
    """

    __slots__ = ("_options", "hosts", "security", "url")

    def __init__(self, url: str, security: StoreSecurity | None = None) -> None:
        self.url = url
        self.security = security or StoreSecurity()
        scheme, _, rest = url.partition("://")
        place, _, query = rest.partition("?")
        credentials, _, self.hosts = place.rpartition("@")
        self._options = {name.lower(): value.lower() for name, value in parse_qsl(query)}
        lines = [*_contradictions(self.security, self._options, bool(credentials)), *self._files()]
        if lines:
            raise StoreAddressError("\n".join(lines))
        self.hosts = f"{scheme}://{self.hosts}"

    def __str__(self) -> str:
        return self.hosts

    def __repr__(self) -> str:
        return f"StoreAddress({self.hosts!r}, tls={self.uses_tls})"

    @property
    def uses_tls(self) -> bool:
        """Return True if connections are encrypted, by the settings or by the URL. `mongodb+srv`
        implies TLS."""
        given = self._options.get("tls", self._options.get("ssl"))
        by_url = given in _ON or (given is None and self.url.startswith("mongodb+srv://"))
        return self.security.tls or by_url

    def _files(self) -> list[str]:
        security, lines = self.security, []
        try:
            if security.ca_file is not None:
                tls.client_context((CA_FILE, security.ca_file))
        except SettingFileError as error:
            lines.append(str(error))
        try:
            if security.certificate_file is not None and security.key_file is not None:
                tls.check_pair(
                    (CERTIFICATE_FILE, security.certificate_file), (KEY_FILE, security.key_file)
                )
        except SettingFileError as error:
            lines.append(str(error))
        return lines


def _contradictions(
    security: StoreSecurity, options: dict[str, str], has_credentials: bool
) -> list[str]:
    """Return a line for each setting that is missing, given twice, or without effect: the operator
    who set it expects a protection that is not there."""
    lines = [
        f"{URL}: {name} in the URL switches off the check of certificates; issue a right one"
        for name in _UNCHECKED
        if options.get(name) in _ON
    ]
    if has_credentials and security.username is not None:
        lines.append(f"{USERNAME}: {URL} has a user name too; give it in one of the two")
    if security.username is not None and security.password is None:
        lines.append(f"{PASSWORD}: neither it nor {PASSWORD_FILE} is set, and {USERNAME} needs one")
    for name, value in ((PASSWORD, security.password), (AUTH_SOURCE, security.auth_source)):
        if value is not None and security.username is None:
            lines.append(f"{name}: there is no {USERNAME} that it belongs to")
    files = {
        CA_FILE: security.ca_file,
        CERTIFICATE_FILE: security.certificate_file,
        KEY_FILE: security.key_file,
    }
    if not security.tls:
        lines += [
            f"{name}: has no effect unless {TLS} is true"
            for name, file in files.items()
            if file is not None
        ]
    elif options.get("tls", options.get("ssl", "true")) not in _ON:
        lines.append(f"{TLS}: {URL} switches TLS off; unset one of the two")
    if security.key_file is not None and security.certificate_file is None:
        lines.append(f"{KEY_FILE}: there is no {CERTIFICATE_FILE} that it is the key of")
    if security.certificate_file is not None and security.key_file is None:
        lines.append(f"{CERTIFICATE_FILE}: there is no {KEY_FILE} with its key")
    return lines


def warn_of_unencrypted_store(address: StoreAddress, environment: str) -> None:
    """Log a warning if connections to the store are not encrypted, outside the environment
    "development". The caller starts all the same: a service mesh may encrypt below it."""
    if environment != "development" and not address.uses_tls:
        log.warning(
            "store_not_encrypted",
            risk="documents travel to the store in clear: anyone on the network path can read and "
            "change them, unless something below encrypts",
            look_at=[TLS],
        )
