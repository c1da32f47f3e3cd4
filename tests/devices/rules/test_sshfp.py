"""SSHFP records against keys; the records are those that ssh-keygen prints."""

import subprocess
from pathlib import Path

import pytest

from devices.rules.host_keys import parse_host_key
from devices.rules.sshfp import DnsWord, Record, compare


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_records_of_ssh_keygen_name_their_key_and_no_other(kind: str, tmp_path: Path) -> None:
    def make(name: str) -> Path:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / name], check=True)
        return tmp_path / f"{name}.pub"

    ours, other = make("ours"), make("other")
    printed = subprocess.run(
        ["ssh-keygen", "-r", "host.test", "-f", ours], check=True, capture_output=True, text=True
    ).stdout
    fields = [line.split()[3:] for line in printed.splitlines()]
    records = [Record(int(algorithm), int(way), bytes.fromhex(text)) for algorithm, way, text in fields]

    assert compare(parse_host_key(ours.read_text()), records) == "same"
    assert compare(parse_host_key(other.read_text()), records) == "other"
    assert compare(parse_host_key(ours.read_text()), [record for record in records if record.kind == 1]) == ""
    assert compare(parse_host_key(ours.read_text()), []) == ""


@pytest.mark.parametrize(
    ("word", "vouches", "hint"),
    [
        (DnsWord("same", is_validated=True), True, "this very fingerprint (validated"),
        (DnsWord("same"), False, "not validated by DNSSEC, so it proves nothing"),
        (DnsWord("other", is_validated=True), False, "Beware"),
        (DnsWord("", is_validated=True), False, ""),
    ],
)
def test_only_a_validated_match_vouches(word: DnsWord, vouches: bool, hint: str) -> None:
    assert word.vouches is vouches
    assert hint in word.hint
