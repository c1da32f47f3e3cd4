"""Private keys in every usual form."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from devices.errors import KeyUnreadable
from devices.ssh.keys import load_private_key

KEYS: dict[str, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa-256": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-521": ec.generate_private_key(ec.SECP521R1()),
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
FORMS = {
    "openssh": serialization.PrivateFormat.OpenSSH,
    "pkcs8": serialization.PrivateFormat.PKCS8,
    "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
}
COMBINATIONS = [(key, form) for key in KEYS for form in FORMS if (key, form) != ("ed25519", "traditional")]


def text_of(kind: str, form: str, passphrase: str | None) -> str:
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    return KEYS[kind].private_bytes(serialization.Encoding.PEM, FORMS[form], encryption).decode()


@pytest.mark.parametrize("passphrase", [None, "pass phräse"], ids=["plain", "encrypted"])
@pytest.mark.parametrize(("kind", "form"), COMBINATIONS)
def test_private_key_in_a_usual_form_is_read(kind: str, form: str, passphrase: str | None) -> None:
    key = load_private_key(text_of(kind, form, passphrase), passphrase, "web")

    public = KEYS[kind].public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert f"{key.get_name()} {key.get_base64()}" == public.decode()


@pytest.mark.parametrize("form", ["openssh", "pkcs8"])
def test_private_key_with_line_ends_of_windows_and_blanks_is_read(form: str) -> None:
    text = "\n  \n" + text_of("rsa", form, None).replace("\n", "\r\n") + "\r\n\r\n"

    assert load_private_key(text, None, "web").get_name() == "ssh-rsa"


@pytest.mark.parametrize("form", ["openssh", "pkcs8", "traditional"])
def test_private_key_with_needless_passphrase_is_read(form: str) -> None:
    assert load_private_key(text_of("rsa", form, None), "needless", "web").get_name() == "ssh-rsa"


@pytest.mark.parametrize("form", ["openssh", "pkcs8", "traditional"])
def test_private_key_without_its_passphrase_says_so(form: str) -> None:
    with pytest.raises(KeyUnreadable) as caught:
        load_private_key(text_of("rsa", form, "secret"), None, "web")

    assert "needs a passphrase" in caught.value.message
    assert caught.value.message.startswith("web: ")


@pytest.mark.parametrize("form", ["openssh", "pkcs8", "traditional"])
def test_private_key_with_wrong_passphrase_says_so(form: str) -> None:
    with pytest.raises(KeyUnreadable) as caught:
        load_private_key(text_of("rsa", form, "secret"), "wrong-one", "web")

    assert "does not open" in caught.value.message
    assert "wrong-one" not in str(caught.value)


def test_private_key_of_an_unusable_kind_says_so() -> None:
    key = dsa.generate_private_key(1024)  # noqa: S505  (only to be refused)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

    with pytest.raises(KeyUnreadable) as caught:
        load_private_key(text, None, "web")

    assert "kind of private key" in caught.value.message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a private key"),
        ("hello", "not a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "not a private key"),
        (text_of("ed25519", "openssh", None)[:150], "not a private key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH8q op@web", "public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "PuTTY"),
    ],
    ids=["empty", "text", "broken", "cut", "public", "putty"],
)
def test_text_that_is_no_private_key_says_what_it_is(text: str, word: str) -> None:
    with pytest.raises(KeyUnreadable) as caught:
        load_private_key(text, None, "web")

    assert word in caught.value.message
    assert caught.value.fix
