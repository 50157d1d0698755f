"""Certificates made for a test: an authority of its own, and what it vouches for, or ought not to."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """A private CA, whose certificate is in `bundle`."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    bundle: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Make an authority that keeps its files in a folder."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Authority of a test")
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        bundle = folder / "authority.pem"
        bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, name, bundle)

    def serve(
        self, *, host: str = "127.0.0.1", expired: bool = False, self_signed: bool = False
    ) -> ssl.SSLContext:
        """Return what makes a server speak TLS with a certificate for a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(host)
        try:
            named: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            named = x509.DNSName(host)
        issuer, signer = (subject, key) if self_signed else (self.name, self.key)
        certificate = (
            _builder(subject, issuer, key, age=timedelta(days=400) if expired else timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([named]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        path = self.folder / f"{host}-{expired}-{self_signed}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, age: timedelta = timedelta(days=1)
) -> x509.CertificateBuilder:
    begins = datetime.now(timezone.utc) - age
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=365))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
