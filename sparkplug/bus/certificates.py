"""The mesh's own certificate authority: made on the spot, pinned by whoever joins.

Only the private server's certificate is signed by it. Besides the addresses of the host it names
`mesh.sparkplug`, which our own clients check: a mesh is known by its authority, not by the
address it is reached at, so address translation and tunnels do no harm.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparkplug.paths import write_private
from sparkplug.schema.errors import InvalidError, RefusedError, SparkplugError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

#: What our clients check a mesh's server for.
MESH_HOST = "mesh.sparkplug"
#: The organisation in the name of an authority of ours.
_OURS = "SparkPlug mesh"
_CA_YEARS = 30
_SERVER_YEARS = 10
_RENEW_BEFORE = datetime.timedelta(days=90)
_LARGEST_PEM = 256 << 10


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the certificates of a mesh are, in the folder of its keys."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate: what a client pins."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's key."""
        return self.folder / "ca.key"

    @property
    def server(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's key."""
        return self.folder / "server.key"


def ensure_certificates(folder: Path, addresses: Sequence[str]) -> Certificates:
    """The certificates in `folder` for a server at `addresses`, made or renewed where needed.

    The authority is made once and kept: everybody who joined has pinned it. Raises RefusedError
    for one that is broken.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    paths = Certificates(folder)
    if not (paths.ca.exists() and paths.ca_key.exists()):
        _make_authority(paths)
    try:
        authority = load_pem_x509_certificate(paths.ca.read_bytes())
        key = load_pem_private_key(paths.ca_key.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"the authority of the mesh cannot be read: {error}",
            where=str(paths.ca_key),
            hint="restore the file from a backup; without it every host has to join anew",
        ) from error
    names = [*dict.fromkeys(addresses), MESH_HOST]
    if not _holds(paths, names):
        _make_server(paths, authority, key, names)  # type: ignore[arg-type]
    return paths


def host_addresses() -> list[str]:
    """Every address and name of this host that another may know it by, loopback last."""
    import psutil

    found: list[str] = []
    for interface in psutil.net_if_addrs().values():
        for address in interface:
            if address.family in (socket.AF_INET, socket.AF_INET6):
                text = address.address.partition("%")[0]
                if not ipaddress.ip_address(text).is_link_local:
                    found.append(text)
    found.sort(key=lambda text: ipaddress.ip_address(text).is_loopback)
    return list(dict.fromkeys([*found, os.uname().nodename, "localhost"]))


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _OURS),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, years: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of hosts differ.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * years))
    )


def _make_authority(paths: Certificates) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key, _CA_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(paths.ca_key, paths.ca, key, certificate)


def _make_server(
    paths: Certificates,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    names: Sequence[str],
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _builder(_name("server"), authority.subject, key, _SERVER_YEARS)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(paths.server_key, paths.server, key, certificate)


def _write(
    key_path: Path, path: Path, key: EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(key_path, secret)
    write_private(path, certificate.public_bytes(Encoding.PEM))


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _holds(paths: Certificates, names: Sequence[str]) -> bool:
    """Whether the server's certificate is of this authority, names all these, and lasts."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        authority = x509.load_pem_x509_certificate(paths.ca.read_bytes())
        found = x509.load_pem_x509_certificate(paths.server.read_bytes())
        found.verify_directly_issued_by(authority)
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    # One that names more is kept: addresses come and go.
    return left > _RENEW_BEFORE and set(_alternatives(names)) <= set(named)


def tls_context(ca: str) -> tuple[ssl.SSLContext, str | None]:
    """How a client trusts the authority of the PEM text `ca`, and the name it checks for.

    The name is None when the server is to have that of its address: the authority is not one
    of ours and may sign others. Raises InvalidError when `ca` holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidError("that is no certificate in PEM form") from error
    subjects = [certificate["subject"] for certificate in context.get_ca_certs()]
    ours = bool(subjects) and all((("organizationName", _OURS),) in s for s in subjects)
    return context, MESH_HOST if ours else None


def read_ca(path: Path) -> str:
    """The PEM text of a file, checked. Raises InvalidError or SparkplugError naming the file."""
    try:
        with path.open() as file:
            text = file.read(_LARGEST_PEM)
    except (OSError, UnicodeDecodeError) as error:
        raise SparkplugError(
            f"cannot read the certificate of the mesh: {error}", where=str(path)
        ) from error
    try:
        tls_context(text)
    except InvalidError as error:
        raise InvalidError(error.message, where=str(path)) from error
    return text
