"""Look at a private key before it is stored."""

from devices.ssh.keys import load_private_key, public_key


def private_key_fingerprint(text: str, passphrase: str | None, owner: str) -> str:
    """The SHA-256 fingerprint of the key's public half; ``owner`` names the credential in errors.

    Raises KeyUnreadable when the text is no usable private key or the passphrase is missing or wrong.
    """
    return public_key(load_private_key(text, passphrase, owner)).fingerprint
