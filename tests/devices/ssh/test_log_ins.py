"""Every way to log in, at real OpenSSH servers."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from devices.errors import AgentMissing, AuthenticationFailed, CertificateUnusable
from devices.rules.host_keys import parse_host_key
from devices.rules.targets import Authentication
from devices.ssh.certificates import certificate_facts
from devices.ssh.session import open_session
from tests.devices.sshd import USER, PrivateKey, Sshd, needs_sshd, private_text, public_line, sshd
from tests.devices.waiting import no_threads_left

pytestmark = needs_sshd
KEYS: dict[str, PrivateKey] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=3072),
}
STRANGER = ed25519.Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority's private key file."""
    file = tmp_path_factory.mktemp("authority") / "ca"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[Sshd]:
    """Takes the three keys and certificates of the authority."""
    with sshd(tmp_path_factory.mktemp("sshd"), list(KEYS.values()), f"TrustedUserCAKeys {authority}.pub") as running:
        yield running


def logs_in(target_server: Sshd, who: Authentication) -> str:
    """What ``echo`` says over the session."""
    with no_threads_left():
        session = open_session(target_server.target(who))
        try:
            return session.run(["echo", "in"], 5).output
        finally:
            session.close()


def certificate(authority: Path, key: PrivateKey, folder: Path, *options: str) -> str:
    """A certificate that ssh-keygen makes for the key."""
    public = folder / "user.pub"
    public.write_text(public_line(key) + "\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "ssm test", *(options or ("-n", USER)), public], check=True
    )
    return (folder / "user-cert.pub").read_text()


@pytest.mark.parametrize("kind", KEYS)
def test_key_of_each_type_logs_in(server: Sshd, kind: str) -> None:
    assert logs_in(server, Authentication(USER, private_key=private_text(KEYS[kind]))) == "in"


def test_key_that_is_not_authorized_is_refused_with_what_the_server_takes(server: Sshd) -> None:
    with no_threads_left(), pytest.raises(AuthenticationFailed) as caught:
        open_session(server.target(Authentication(USER, private_key=private_text(STRANGER))))

    assert "authorized_keys" in caught.value.fix
    assert caught.value.details["allowed"] == ["key"]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_certificate_lets_a_key_in_that_is_not_authorized(
    authority: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    text = certificate(authority, KEYS[kind], tmp_path)
    with sshd(tmp_path_factory.mktemp("sshd"), [], f"TrustedUserCAKeys {authority}.pub") as strict:
        who = Authentication(USER, private_key=private_text(KEYS[kind]), certificate=text)

        assert logs_in(strict, who) == "in"
        assert "ID ssm test" in strict.log.read_text()


def test_key_is_tried_when_its_certificate_is_refused(server: Sshd, authority: Path, tmp_path: Path) -> None:
    text = certificate(authority, KEYS["ed25519"], tmp_path, "-n", "somebody-else")

    assert logs_in(server, Authentication(USER, private_key=private_text(KEYS["ed25519"]), certificate=text)) == "in"


@pytest.mark.parametrize(
    ("options", "words"), [(("-n", USER, "-V", "20200101:20200102"), "valid until 2020-01-0"), (("-h",), "of a host")]
)
def test_certificate_that_cannot_work_is_told_before_anything_is_sent(
    server: Sshd, authority: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    text = certificate(authority, KEYS["ed25519"], tmp_path, *options)

    with no_threads_left(), pytest.raises(CertificateUnusable) as caught:
        open_session(server.target(Authentication(USER, private_key=private_text(KEYS["ed25519"]), certificate=text)))

    assert words in caught.value.message


def test_certificate_of_another_key_is_told(server: Sshd, authority: Path, tmp_path: Path) -> None:
    text = certificate(authority, KEYS["ed25519"], tmp_path)

    with no_threads_left(), pytest.raises(CertificateUnusable, match="another key"):
        open_session(server.target(Authentication(USER, private_key=private_text(KEYS["ecdsa"]), certificate=text)))


def test_facts_of_a_certificate_are_read(authority: Path, tmp_path: Path) -> None:
    facts = certificate_facts(certificate(authority, KEYS["ed25519"], tmp_path, "-n", "op,root", "-z", "7"), "web")

    assert (facts.key_id, facts.principals, facts.serial) == ("ssm test", ("op", "root"), 7)
    assert facts.valid_until is None


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real agent that holds a stranger's key and the RSA key."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert process.poll() is None
            os.sched_yield()
        for number, key in enumerate((STRANGER, KEYS["rsa"])):
            file = tmp_path / f"key-{number}"
            file.write_text(private_text(key))
            file.chmod(0o600)
            subprocess.run(["ssh-add", "-q", file], check=True, env=os.environ | {"SSH_AUTH_SOCK": str(path)})
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
    finally:
        process.terminate()
        process.wait(10)


def test_agents_keys_are_tried_in_turn(server: Sshd, agent: Path) -> None:
    assert logs_in(server, Authentication(USER, agent=True)) == "in"


def test_agents_key_that_is_chosen_is_the_only_one_tried(server: Sshd, agent: Path) -> None:
    chosen = parse_host_key(public_line(STRANGER)).fingerprint

    with no_threads_left(), pytest.raises(AuthenticationFailed):
        open_session(server.target(Authentication(USER, agent=True, agent_key=chosen)))


def test_agent_that_is_not_there_is_told(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    with no_threads_left(), pytest.raises(AgentMissing, match="no SSH agent"):
        open_session(server.target(Authentication(USER, agent=True)))


def test_two_keys_one_after_the_other_log_in(tmp_path: Path, agent: Path) -> None:
    authorized = [KEYS["ed25519"], KEYS["rsa"]]
    with sshd(tmp_path / "sshd", authorized, "AuthenticationMethods publickey,publickey") as strict:
        who = Authentication(USER, private_key=private_text(KEYS["ed25519"]), agent=True)

        assert logs_in(strict, who) == "in"


def test_half_a_log_in_says_what_is_wanted_after_it(tmp_path: Path) -> None:
    lines = ("AuthenticationMethods publickey,password", "PasswordAuthentication yes")
    who = Authentication(USER, private_key=private_text(KEYS["ed25519"]))
    with (
        sshd(tmp_path / "sshd", [KEYS["ed25519"]], *lines) as strict,
        no_threads_left(),
        pytest.raises(AuthenticationFailed) as caught,
    ):
        open_session(strict.target(who))

    assert "it took a part, and wants password after that" in caught.value.message
    assert "Add a password" in caught.value.fix


def test_wrong_password_is_sent_once(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", [], "PasswordAuthentication yes") as strict:
        with no_threads_left(), pytest.raises(AuthenticationFailed):
            open_session(strict.target(Authentication(USER, password="not-it-at-all")))

        assert strict.log.read_text().count("Failed password") == 1


def test_changed_certificate_is_another_target(server: Sshd) -> None:
    target = server.target()

    assert replace(target, authentication=replace(target.authentication, certificate="x")).version != target.version
