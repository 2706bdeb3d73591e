"""TLS of the service: its certificate, and the clients that it accepts."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from flight_service.addresses import Address
from flight_service.errors import SettingError
from fraiseql_assets.settings import Settings, variable


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of an address with TLS, as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    """The authorities of clients' certificates; None if clients need none."""
    context: ssl.SSLContext = field(repr=False)
    """The same as an SSL context, for Python's servers."""


def tls_of(settings: Settings, *addresses: Address) -> Tls | None:
    """The TLS configuration of the addresses; None if no address has TLS.

    Raises:
        SettingError: a file is missing, cannot be read, or does not match the others.
    """
    if not any(address.is_tls for address in addresses):
        _check_unused(settings, addresses)
        return None
    certificate = _content(settings.tls_certificate, "tls_certificate")
    key = _content(settings.tls_key, "tls_key")
    assert settings.tls_certificate is not None
    assert settings.tls_key is not None
    context = _context(settings.tls_certificate, settings.tls_key, key)
    client_ca = None
    if settings.tls_client_ca is not None:
        client_ca = _content(settings.tls_client_ca, "tls_client_ca")
        _trust(context, settings.tls_client_ca)
    return Tls(certificate, key, client_ca, context)


def _check_unused(settings: Settings, addresses: tuple[Address, ...]) -> None:
    """Refuses TLS settings if no address has TLS."""
    given = [
        variable(name)
        for name in ("tls_certificate", "tls_key", "tls_client_ca")
        if getattr(settings, name) is not None
    ]
    if given:
        plain = " and ".join(f"{address.variable} is {address}" for address in addresses)
        raise SettingError(
            f"{given[0]} is set, but {plain}, without TLS. Write grpc+tls:// and https:// there, "
            "or unset it."
        )


def _content(path: Path | None, name: str) -> bytes:
    if path is None:
        raise SettingError(
            f"{variable(name)} is not set, and an address has TLS. Set it to a file in PEM; "
            f"{variable('tls_certificate')} and {variable('tls_key')} go together."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{variable(name)}: {path} cannot be read: {error.strerror}.") from error


def _context(certificate: Path, key: Path, key_content: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if b"ENCRYPTED" in key_content:
        raise SettingError(
            f"{variable('tls_key')}: {key} is encrypted. Give a key without a password."
        )
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingError(_unfit(certificate, key, error)) from error
    return context


def _unfit(certificate: Path, key: Path, error: Exception) -> str:
    names = f"{variable('tls_certificate')} and {variable('tls_key')}"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{names}: {key} is not the key of the first certificate in {certificate}."
    return (
        f"{names}: {certificate} and {key} are no certificate and key in PEM. The first has the "
        "certificate and those that it is signed by, the second the private key."
    )


def _trust(context: ssl.SSLContext, client_ca: Path) -> None:
    try:
        context.load_verify_locations(client_ca)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingError(
            f"{variable('tls_client_ca')}: {client_ca} has no certificates in PEM."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
