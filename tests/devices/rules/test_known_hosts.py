"""known_hosts files, as ssh writes them and as strangers might."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.rules.known_hosts import matches, parse_known_hosts

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt4HYdnSEJ9ZuCGI0++42C6yHkw1Lm5vSzV3tWRlXhU"


@pytest.mark.parametrize(
    ("patterns", "address", "port", "expected"),
    [
        ("host.example.com", "host.example.com", 22, True),
        ("Host.Example.com", "host.example.com", 22, True),
        ("host.example.com,10.0.0.7", "10.0.0.7", 22, True),
        ("host.example.com", "host.example.com", 2222, False),
        ("[host.example.com]:2222", "host.example.com", 2222, True),
        ("[host.example.com]:2222", "host.example.com", 22, False),
        ("[10.0.0.7]:2222,[fe80::1]:2222", "fe80::1", 2222, True),
        ("*.example.com", "host.example.com", 22, True),
        ("*.example.com", "example.com", 22, False),
        ("*.example.com,!host.example.com", "host.example.com", 22, False),
        ("!host.example.com,*.example.com", "host.example.com", 22, False),
        ("10.0.0.?", "10.0.0.7", 22, True),
        ("*", "anything", 22, True),
        ("[*.example.com]:2222", "host.example.com", 2222, True),
        ("!", "host", 22, False),
        ("", "host", 22, False),
        ("[a-z]ost", "host", 22, False),
        ("|1|rubbish|rubbish", "host", 22, False),
        ("|1|AAAA|AAAA|AAAA", "host", 22, False),
    ],
)
def test_names_match_as_ssh_matches_them(patterns: str, address: str, port: int, expected: bool) -> None:
    assert matches(patterns, address, port) is expected


def test_names_that_ssh_has_hashed_are_recognised(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"host.example.com {KEY}\n[10.0.0.7]:2222 {KEY}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)

    lines, bad = parse_known_hosts(file.read_text())

    assert bad == []
    assert all(line.is_hashed for line in lines)
    assert [line.is_about("host.example.com", 22) for line in lines] == [True, False]
    assert [line.is_about("10.0.0.7", 2222) for line in lines] == [False, True]
    assert not any(line.is_about("other.example.com", 22) for line in lines)


def test_file_with_everything_in_it_is_read_line_by_line() -> None:
    text = "\n".join(
        [
            "# a comment",
            "",
            f"host {KEY} somebody@somewhere with blanks",
            f"@cert-authority *.example.com {KEY}",
            f"@revoked * {KEY}",
            f"@unknown * {KEY}",
            "host ssh-ed25519",
            "host ssh-dss AAAAB3NzaC1kc3MAAACBAP",
            "host ssh-ed25519 notbase64!",
            f"|1|damaged {KEY}",
            f"{'x' * 1001} {KEY}",
        ]
    )

    lines, bad = parse_known_hosts(text)

    assert [(line.number, line.marker, line.patterns) for line in lines] == [
        (3, "", "host"),
        (4, "cert-authority", "*.example.com"),
        (5, "revoked", "*"),
    ]
    assert lines[0].comment == "somebody@somewhere with blanks"
    assert [line.number for line in bad] == [6, 7, 8, 9, 10, 11]


def test_file_without_an_end_is_cut() -> None:
    lines, bad = parse_known_hosts(f"host {KEY}\n" * 20_005)

    assert len(lines) == 20_000
    assert "more than 20,000 lines" in bad[-1].why


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    lines, bad = parse_known_hosts(text)

    assert len(lines) + len(bad) <= text.count("\n") + 1
