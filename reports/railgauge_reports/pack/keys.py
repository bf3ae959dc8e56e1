"""Ed25519 keys (RFC 8032), through `cryptography`, which only this module imports and only when called.

The signature is over the bytes of manifest.json, so that openssl checks it too:
`openssl pkeyutl -verify -pubin -inkey KEY.pem.pub -rawin -in manifest.json -sigfile manifest.sig`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from railgauge.errors import UsageError
from railgauge_reports.pack.manifest import Signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

ALGORITHM = "Ed25519"
SIGNATURE_BYTES = 64
_MOST_KEY_BYTES = 64 << 10
INSTALL = "pip install 'railgauge[sign]'"


class CannotSignError(UsageError):
    """`cryptography` is not installed."""


def _needed(error: ImportError) -> CannotSignError:
    return CannotSignError(
        f"signatures need the library cryptography ({error}).\n"
        f"  next: {INSTALL}   (everything but signatures works without it)"
    )


def make_key(path: Path) -> tuple[Path, str]:
    """Write a private key (0600) to `path` and its public key beside it, as `path`.pub.

    Returns the public key's file and fingerprint. Raises UsageError where either file is there.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise _needed(error) from None
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = path.with_name(f"{path.name}.pub")
    made: list[Path] = []
    try:
        for file, data, mode in ((path, private, 0o600), (public, pem(key.public_key()), 0o644)):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            made.append(file)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
                os.fsync(opened.fileno())
    except OSError as error:
        for file in made:
            file.unlink(missing_ok=True)
        raise UsageError(
            f"--make-key {path}: {error.filename or path}: {error.strerror or error}.\n"
            "  expected: a name that is free, in a folder that this user may write\n"
            "  next: --make-key ANOTHER_FILE"
        ) from None
    return public, fingerprint(key.public_key())


def read_private(path: Path) -> Ed25519PrivateKey:
    """The key of --sign; raises UsageError that says why it is none."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise _needed(error) from None
    data = _read(path, "--sign")
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise _no_key(path, "--sign", "it is encrypted with a passphrase") from None
    except Exception as error:  # the library has no common base for what a damaged file raises
        raise _no_key(path, "--sign", str(error) or type(error).__name__) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "--sign", "it is a key of another algorithm")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """The key of --key; raises UsageError that says why it is none."""
    return parse_public(_read(path, "--key"), f"--key {path}")


def parse_public(data: bytes, where: str) -> Ed25519PublicKey:
    """A public key in PEM; raises UsageError beginning with `where`, CannotSignError without a library."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise _needed(error) from None
    try:
        key = serialization.load_pem_public_key(data)
    except Exception as error:  # as above
        why = "it is a private key" if b"PRIVATE KEY" in data else str(error) or "it is no PEM"
        raise _no_key(where, "", why) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(where, "", "it is a key of another algorithm")
    return key


def signer(key: Ed25519PrivateKey) -> Signer:
    """What the manifest says of who signs it."""
    public = key.public_key()
    return Signer(algorithm=ALGORITHM, key=fingerprint(public), public_key=pem(public).decode())


def holds(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Is it that key's signature of these bytes?"""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def fingerprint(key: Ed25519PublicKey) -> str:
    """`sha256:` and the digest of the key's DER, as `openssl pkey -pubin -outform DER | sha256sum`."""
    from cryptography.hazmat.primitives import serialization

    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def pem(key: Ed25519PublicKey) -> bytes:
    """The key in PEM."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise _no_key(path, option, error.strerror or str(error)) from None


def _no_key(path: Path | str, option: str, why: str) -> UsageError:
    kind = "private" if option == "--sign" else "public"
    return UsageError(
        f"{f'{option} {path}'.strip()}: no {kind} key to be had ({' '.join(why.split())[:200]}).\n"
        f"  expected: an Ed25519 {kind} key in PEM, without a passphrase\n"
        "  next: railgauge pack --make-key KEY.pem (the public one is KEY.pem.pub)"
    )
