"""Causes read off what real programs print."""

import pytest

from devices.rules.refusals import Cause, SocketProbe, parse_probe, read_refusal


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("sudo: a password is required", Cause.SUDO_NEEDS_PASSWORD),
        ("sudo: a terminal is required to read the password; either use the -S option", Cause.SUDO_NEEDS_PASSWORD),
        (
            "Sorry, try again. sudo: no password was provided sudo: 1 incorrect password attempt",
            Cause.SUDO_WRONG_PASSWORD,
        ),
        ("Sorry, user plain may not run sudo on h1.", Cause.SUDO_FORBIDDEN),
        ("plain is not in the sudoers file.", Cause.SUDO_FORBIDDEN),
        ("Sorry, user x is not allowed to execute '/usr/bin/docker' as root on h1.", Cause.SUDO_FORBIDDEN),
        ("env: 'sudo': No such file or directory sudo: not found", Cause.SUDO_MISSING),
        ("sudo: docker: command not found", Cause.PROGRAM_MISSING),
        ("env: 'doas': No such file or directory", Cause.SUDO_MISSING),
        ("doas: Authentication required", Cause.SUDO_NEEDS_PASSWORD),
        ("doas: Operation not permitted", Cause.SUDO_FORBIDDEN),
        ("doas: docker: command not found", Cause.PROGRAM_MISSING),
        ("env: 'docker': No such file or directory", Cause.PROGRAM_MISSING),
        ("sh: 1: docker: not found", Cause.PROGRAM_MISSING),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
            "dial unix /var/run/docker.sock: connect: permission denied",
            Cause.PERMISSION,
        ),
        ("Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?", Cause.ENGINE_DOWN),
        ("something else entirely", Cause.UNCLEAR),
    ],
)
def test_refusal_is_read_off_standard_error(text: str, cause: Cause) -> None:
    assert read_refusal(text) is cause


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("probe missing no no", Cause.SOCKET_MISSING),
        ("probe other yes no", Cause.NOT_A_SOCKET),
        ("probe socket no yes", Cause.PERMISSION),
        ("probe socket yes no", Cause.ENGINE_DOWN),
        ("Welcome! probe socket yes yes", Cause.FORWARDING),
    ],
)
def test_probe_names_the_cause(output: str, cause: Cause) -> None:
    probe = parse_probe(output)

    assert isinstance(probe, SocketProbe)
    assert probe.cause is cause


def test_probe_that_did_not_run_is_none() -> None:
    assert parse_probe("This account is currently not available.") is None
