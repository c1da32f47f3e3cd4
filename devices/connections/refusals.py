"""The user's sentence and fix for each cause that keeps SSM from an engine."""

from devices.errors import DeviceError, PermissionDenied, SocketMissing
from devices.rules.refusals import Cause
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text

_BECOME_CAUSES = {
    Cause.SUDO_MISSING: ("the host has no {tool}", "Install {tool}"),
    Cause.SUDO_NEEDS_PASSWORD: (
        "{tool} asks for a password and the credential has none",
        "Add the password to the credential",
    ),
    Cause.SUDO_WRONG_PASSWORD: ("{tool} refuses the credential's password", "Correct the password in the credential"),
    Cause.SUDO_FORBIDDEN: ("{tool} does not allow the docker command to this user", "Allow it in {rules}"),
}
# doas reads a password from a terminal alone, which a channel of the engine's cannot be.
_DOAS_PASSWORD = (
    "doas asks for a password, which it takes from a terminal only",
    "Give the rule nopass in doas.conf",
)


def error_for(cause: Cause, target: ConnectionTarget, *, said: str = "") -> DeviceError:
    """The DeviceError for a cause; ``said`` is what the host's program printed (cleaned here).

    details: cause, and said if the cause is unclear.
    """
    user, path = clean_text(target.authentication.username, 60), clean_text(target.socket_path, 120)
    group = f"Add the user to the group docker on the host: sudo usermod -aG docker {user}, then reconnect"
    kind: type[DeviceError] = PermissionDenied
    if cause in _BECOME_CAUSES:
        is_doas = target.elevation == "doas"
        names = {"tool": "doas", "rules": "doas.conf"} if is_doas else {"tool": "sudo", "rules": "sudoers"}
        why, fix = _BECOME_CAUSES[cause]
        if is_doas and cause is Cause.SUDO_NEEDS_PASSWORD:
            why, fix = _DOAS_PASSWORD
        why, fix = why.format(**names), fix.format(**names)
        text, fix = f"{user} may not use {path}, and {why}.", f"{fix}, or: {group[0].lower()}{group[1:]}."
    elif cause is Cause.PERMISSION:
        text = f"{user} may not use the socket {path}."
        fix = f"{group}; or let the credential use sudo."
    elif cause is Cause.SOCKET_MISSING:
        kind, text = SocketMissing, f"there is no socket {path} on the host."
        fix = (
            "Check that Docker is installed and runs (systemctl status docker), or correct the socket path: Podman has "
            "/run/podman/podman.sock, rootless Docker /run/user/<uid>/docker.sock."
        )
    elif cause is Cause.NOT_A_SOCKET:
        kind, text = SocketMissing, f"{path} on the host is not a socket."
        fix = "Correct the socket path of this device; Docker's own is /var/run/docker.sock."
    elif cause is Cause.ENGINE_DOWN:
        kind, text = SocketMissing, f"no engine listens on {path}: it is stopped or starting."
        fix = "Start it on the host: sudo systemctl start docker; its log: journalctl -u docker."
    elif cause is Cause.PROGRAM_MISSING:
        text = f"the SSH server does not let {user} open {path}, and the host has no docker command to go around that."
        fix = "Set AllowStreamLocalForwarding yes in the host's sshd_config, or install the docker command line."
    elif cause is Cause.FORWARDING:
        text = f"the SSH server does not let {user} open sockets."
        fix = "Set AllowStreamLocalForwarding yes in the host's sshd_config and reload sshd."
    elif cause is Cause.NO_SESSIONS:
        text = f"the SSH server does not open {path} for {user}, and {user} may start no program that tells why."
        fix = (
            "Check on the host that the engine runs (systemctl status docker), that the user may use the socket "
            f"(sudo usermod -aG docker {user}), and that sshd_config has AllowStreamLocalForwarding yes."
        )
    else:
        text = f"{user} could not reach an engine on {path}."
        fix = "Try on the host as this user: docker version."
    details = {"cause": cause.value}
    if said and cause is Cause.UNCLEAR:
        details["said"] = clean_text(said)
        text = f"{text[:-1]}; the host said: {details['said']}"
    return kind(f"{target.label}: {text}", fix=fix, details=details)
