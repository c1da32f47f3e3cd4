"""Whether a server is the one we mean: pinned keys, authorities, revoked keys, and the word of DNS."""

from datetime import UTC, datetime

from devices.errors import HostKeyChanged, HostKeyRevoked, HostKeyUnknown
from devices.rules.host_certificates import certificate_fault
from devices.rules.host_keys import PinnedKey, Verdict, judge
from devices.rules.targets import ConnectionTarget
from devices.ssh.dns import LOOK_UP_S, ask_dns


def check_host_key(target: ConnectionTarget, shown: PinnedKey) -> None:
    """Nothing if the shown key is trusted; else HostKeyUnknown, HostKeyChanged or HostKeyRevoked.

    Trusted is a key that is pinned or that an authority for this host has signed, and, where the device allows that and
    nothing is pinned yet, one that DNS vouches for. Asks DNS, for two seconds at most, about keys that are not trusted.
    """
    details = {"key_type": shown.key_type, "key_base64": shown.key_base64, "fingerprint": shown.fingerprint}
    if shown in target.revoked_keys:
        raise HostKeyRevoked(
            f"{target.label}: the host shows a key that is never to be trusted ({shown.fingerprint}).",
            fix="Someone may have stolen the key. Give the host new host keys (ssh-keygen -A after removing the old "
            "ones), or remove the rule under Host keys if it is a mistake.",
            details=details,
        )
    fault = _fault_of_certificate(target, shown)
    verdict = judge(shown, target.pinned_keys)
    if verdict is Verdict.TRUSTED or fault == "":
        return
    word = ask_dns(target.address, shown, LOOK_UP_S)
    if verdict is Verdict.UNKNOWN and target.trust_sshfp and word.vouches:
        return
    details["hint"] = " ".join(filter(None, (f"Its certificate does not count: {fault}." if fault else "", word.hint)))
    hint = f" {details['hint']}" if details["hint"] else ""
    if verdict is Verdict.UNKNOWN:
        raise HostKeyUnknown(
            f"{target.label}: the host's key is not known yet ({shown.key_type}, {shown.fingerprint}).{hint}",
            fix="Compare the fingerprint with the host's own: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
            if shown.key_type == "ssh-ed25519"
            else "Compare the fingerprint with the host's own: ssh-keygen -lf on its public key in /etc/ssh.",
            details=details,
        )
    expected = [key.fingerprint for key in target.pinned_keys]
    raise HostKeyChanged(
        f"{target.label}: the host's key has changed: accepted was {' or '.join(expected)}, "
        f"now it shows {shown.fingerprint}.{hint}",
        fix="If the host was set up anew, accept the new key on the device's page. If not, someone may sit between "
        "SSM and the host: do not connect.",
        details={**details, "expected": expected},
    )


def _fault_of_certificate(target: ConnectionTarget, shown: PinnedKey) -> str | None:
    """Empty if a certificate vouches for the key, else what is wrong with it; None if there is none or none counts."""
    if not shown.certificate or not target.authorities:
        return None
    return certificate_fault(shown, target.address, target.authorities, target.revoked_keys, datetime.now(UTC))
