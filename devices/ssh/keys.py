"""Private keys: any usual text form into what the SSH library signs with."""

import base64
import io

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from devices.errors import KeyUnreadable
from devices.rules.host_keys import PinnedKey

_FORMS = "an OpenSSH or PEM private key of type Ed25519, ECDSA or RSA"


class RsaKey(paramiko.RSAKey):
    """An RSA key that can also sign and check with SHA-1, for transports that allow outdated algorithms."""

    HASHES = {**paramiko.RSAKey.HASHES, "ssh-rsa": hashes.SHA1}  # type: ignore[misc]


def load_private_key(text: str, passphrase: str | None, owner: str) -> paramiko.PKey:
    """The key in ``text`` (OpenSSH, PKCS 1, PKCS 8 or SEC 1, encrypted or not) for the device or credential ``owner``.

    KeyUnreadable tells whether the passphrase is missing, wrong, or the text no private key of a usable type.
    """
    data = text.strip().replace("\r\n", "\n").encode("utf-8", "replace") + b"\n"
    password = passphrase.encode("utf-8", "surrogatepass") if passphrase else None
    _reject_other_kinds(text, owner)
    try:
        loaded = _load(data, password)
        if not isinstance(loaded, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise UnsupportedAlgorithm(type(loaded).__name__)
        # The library's own readers know fewer forms: hand it the one form that they all know.
        plain = loaded.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        kind: type[paramiko.PKey] = paramiko.ECDSAKey
        if isinstance(loaded, rsa.RSAPrivateKey):
            kind = RsaKey
        elif isinstance(loaded, ed25519.Ed25519PrivateKey):
            kind = paramiko.Ed25519Key
        return kind.from_private_key(io.StringIO(plain.decode("ascii")))
    except TypeError as exc:
        raise _passphrase_error(owner, has_passphrase=password is not None) from exc
    except UnsupportedAlgorithm as exc:
        raise KeyUnreadable(f"{owner}: this kind of private key can't be used.", fix=f"Use {_FORMS}.") from exc
    except (ValueError, paramiko.SSHException) as exc:
        if password is not None:
            raise _passphrase_error(owner, has_passphrase=True) from exc
        raise KeyUnreadable(
            f"{owner}: the text is not a private key that can be read.",
            fix=f"Paste the whole file, from its BEGIN line to its END line: {_FORMS}.",
        ) from exc


def _load(data: bytes, password: bytes | None) -> object:
    is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        return load(data, password)
    except TypeError:
        if password is None:
            raise
        # A passphrase for a key without one is no fault of the user's: credentials may carry both.
        return load(data, None)


def _reject_other_kinds(text: str, owner: str) -> None:
    if text.lstrip().startswith("PuTTY-User-Key-File"):
        raise KeyUnreadable(
            f"{owner}: this is a key in PuTTY's format.",
            fix="Convert it first: puttygen key.ppk -O private-openssh -o key.",
        )
    if text.lstrip().startswith(("ssh-", "ecdsa-", "sk-")) or "BEGIN PUBLIC KEY" in text:
        raise KeyUnreadable(f"{owner}: this is a public key.", fix="Paste the private key: the file without .pub.")


def _passphrase_error(owner: str, *, has_passphrase: bool) -> KeyUnreadable:
    if has_passphrase:
        return KeyUnreadable(f"{owner}: the passphrase does not open the private key.", fix="Correct the passphrase.")
    return KeyUnreadable(f"{owner}: the private key needs a passphrase.", fix="Add the passphrase to the credential.")


def public_key(key: paramiko.PKey) -> PinnedKey:
    """Type and blob of a key, as they are pinned and shown, with the certificate that it came in."""
    certificate = base64.b64encode(key.public_blob.key_blob).decode("ascii") if key.public_blob is not None else ""
    return PinnedKey(key.get_name(), key.get_base64(), certificate)


def generate_private_key(kind: str) -> str:
    """A new private key as OpenSSH writes it, without a passphrase: ed25519, ecdsa (P-384) or rsa (4096 bits)."""
    made: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if kind == "ed25519":
        made = ed25519.Ed25519PrivateKey.generate()
    elif kind == "ecdsa":
        made = ec.generate_private_key(ec.SECP384R1())
    elif kind == "rsa":
        made = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    else:
        raise ValueError(f"no such kind of key: {kind}")
    text = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return text.decode("ascii")
