"""The least-privilege kit: what to set up on a host so that SSM may do what it should there, and no more (pure).

Whoever may open the engine's own socket is root on its host. So what a grade below everything takes is a second socket:
a proxy in front of the engine that lets the grade's requests through, and a user who may open that socket alone.

sshd has no setting for paths of sockets, but judges them by the lists of its TCP forwarding (channel_connect_to_path in
its channels.c): AllowTcpForwarding no forbids sockets too, and PermitOpen with a path in brackets and any port permits
that one socket and no TCP at all.
"""

import re
from dataclasses import dataclass
from typing import Final

from devices.rules.grades import Ability, Grade, abilities_up_to
from devices.rules.targets import DEFAULT_SOCKET_PATH, LOCAL, SSH, TCP, TLS

PROXY_SOCKET: Final = "/run/ssm-docker/docker.sock"
PROXY_FILE: Final = "/etc/haproxy/ssm-docker.cfg"
DEFAULT_USER: Final = "ssm"
# What goes into files of sshd, sudo and HAProxy: nothing that means something to one of them.
_PATH = re.compile(r"/[A-Za-z0-9_./-]{1,100}\Z")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What recipes depend on. ``public_key`` is ``type base64`` and may be empty."""

    username: str
    public_key: str = ""
    socket_path: str = DEFAULT_SOCKET_PATH
    transport: str = SSH
    program: str = "docker"

    @property
    def user(self) -> str:
        """The user to set up: the device's own, unless that is root or no plain name."""
        return self.username if self.username != "root" and _USER.match(self.username) else DEFAULT_USER

    @property
    def engine_socket(self) -> str:
        """The engine's own socket: not the one of a proxy that is set up already."""
        is_usable = _PATH.match(self.socket_path) and self.socket_path != PROXY_SOCKET
        return self.socket_path if is_usable else DEFAULT_SOCKET_PATH

    @property
    def key(self) -> str:
        """The public key, or a place for it."""
        return self.public_key or "ssh-ed25519 AAAA…"


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to do on the host: commands, or a file with its content."""

    title: str
    content: str
    file: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to a grade: its pieces in order, and what to set at the device in SSM."""

    key: str
    title: str
    pieces: tuple[Piece, ...]
    device: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Kit:
    """All ways to a grade, the recommended one first, and what the grade unlocks."""

    grade: Grade
    unlocks: tuple[Ability, ...]
    recipes: tuple[Recipe, ...]


def kit_for(grade: Grade, facts: HostFacts) -> Kit:
    """The kit for a wished grade (not NOTHING)."""
    recipes = _everything(facts) if grade is Grade.EVERYTHING else (_behind_proxy(grade, facts),)
    return Kit(grade, abilities_up_to(grade), recipes)


# ---- SSH


def authorized_keys(facts: HostFacts, command: str = "") -> str:
    """The line that lets SSM's key in: to open sockets, or for one command alone; no terminal, no agent, no X11."""
    if command:
        return f'restrict,command="{command}" {facts.key} ssm'
    return f"restrict,port-forwarding {facts.key} ssm"


def sshd_lines(facts: HostFacts, socket: str) -> str:
    """What sshd is to allow this user: that one socket of the host, and nothing else beside short commands."""
    return f"""Match User {facts.user}
    AuthenticationMethods publickey
    AllowStreamLocalForwarding local
    AllowTcpForwarding local
    PermitOpen [{socket}]:*
    PermitListen none
    X11Forwarding no
    AllowAgentForwarding no
    PermitTunnel no
    PermitTTY no
    PermitUserRC no
Match all
"""


def dial_command(facts: HostFacts) -> str:
    """The command that hands the engine's whole API through."""
    option = "-H" if facts.program == "docker" else "--url"
    return f"{facts.program} {option} unix://{facts.engine_socket} system dial-stdio"


def sudoers_line(facts: HostFacts) -> str:
    """Leave to become root for that command with exactly these arguments, and for no other."""
    # sudoers gives a meaning to colons, commas, equal signs and backslashes in arguments.
    arguments = dial_command(facts).partition(" ")[2].replace(":", r"\:")
    return f"{facts.user} ALL=(root) NOPASSWD: /usr/bin/{facts.program} {arguments}\n"


def _user_piece(facts: HostFacts) -> Piece:
    return Piece(
        "A user of its own",
        f"sudo useradd --create-home --shell /bin/sh {facts.user}\nsudo install -d -m 700 -o {facts.user} "
        f"-g {facts.user} ~{facts.user}/.ssh",
        why="Not in the group docker: who may open the engine's own socket is root on the host.",
    )


def _key_piece(facts: HostFacts, command: str = "") -> Piece:
    return Piece(
        "What SSM's key is good for",
        authorized_keys(facts, command) + "\n",
        file=f"~{facts.user}/.ssh/authorized_keys",
        why='Put from="address of SSM", in front if that address is fixed.',
    )


def _sshd_piece(facts: HostFacts, socket: str) -> Piece:
    return Piece(
        "What sshd allows this user",
        sshd_lines(facts, socket),
        file="/etc/ssh/sshd_config.d/ssm.conf",
        why="PermitOpen names the one socket that may be opened; no TCP port can. Then: sudo sshd -t && sudo systemctl "
        "reload ssh.",
    )


def _everything(facts: HostFacts) -> tuple[Recipe, ...]:
    if facts.transport == TLS or facts.transport == TCP:
        return (_engine_tls(),)
    if facts.transport == LOCAL:
        return (
            Recipe(
                "group",
                "SSM in the group of the socket",
                (
                    Piece(
                        "Let SSM's own user open the socket", "sudo usermod -aG docker ssm", why="Then start SSM anew."
                    ),
                ),
                (("Socket", facts.engine_socket),),
            ),
        )
    group = Piece(
        "Let it open the engine's socket",
        f"sudo usermod -aG docker {facts.user}",
        why="The fastest way, with everything that Docker can do.",
    )
    sudo = Piece(
        "Let it become root for one command",
        sudoers_line(facts),
        file="/etc/sudoers.d/ssm",
        why="Write it with visudo -f. sudo logs each use; the user can't open the socket otherwise.",
    )
    forced = _key_piece(facts, dial_command(facts))
    member = Piece("Let it open the engine's socket", f"sudo usermod -aG docker {facts.user}")
    return (
        Recipe(
            "group",
            "In the group docker",
            (_user_piece(facts), group, _key_piece(facts), _sshd_piece(facts, facts.engine_socket)),
            (("Socket", facts.engine_socket), ("Way to the socket", "whichever works")),
        ),
        Recipe(
            "sudo",
            "By sudo, for one command",
            (_user_piece(facts), sudo, _key_piece(facts), _sshd_piece(facts, facts.engine_socket)),
            (("Socket", facts.engine_socket), ("Change user with", "sudo")),
        ),
        Recipe(
            "forced",
            "A key that can do nothing else",
            (_user_piece(facts), member, forced),
            (("Socket", facts.engine_socket), ("Way to the socket", "through the docker command")),
            note="No commands on the host: the host's own figures (its CPU, memory, disk) are missing.",
        ),
    )


def _engine_tls() -> Recipe:
    settings = """{
  "hosts": ["fd://", "tcp://0.0.0.0:2376"],
  "tlsverify": true,
  "tlscacert": "/etc/docker/tls/ca.pem",
  "tlscert": "/etc/docker/tls/server-cert.pem",
  "tlskey": "/etc/docker/tls/server-key.pem"
}
"""
    return Recipe(
        "tls",
        "The engine on TCP with TLS",
        (
            Piece(
                "Only clients of your authority get in",
                settings,
                file="/etc/docker/daemon.json",
                why="Where systemd starts dockerd with -H fd://, take that option out of its unit first. Whoever has a "
                "certificate of this authority is root on the host: make one for SSM alone.",
            ),
        ),
        (("Reached by", "TCP with TLS"), ("Port", "2376")),
    )


# ---- the proxy

_VERSION: Final = r"(/v1\.[0-9]+)?"
_NAME: Final = r"[a-zA-Z0-9][a-zA-Z0-9_.-]*"


def proxy_configuration(grade: Grade, facts: HostFacts) -> str:
    """HAProxy's configuration for watch only or operate: what is not named here, the engine never gets to see."""
    bind = f"unix@{PROXY_SOCKET} mode 660"
    if facts.transport in (TLS, TCP):
        bind = ":2376 ssl crt /etc/haproxy/ssm/server.pem ca-file /etc/haproxy/ssm/ca.pem verify required"
    acts = ""
    if grade is Grade.OPERATE:
        acts = f"""
    acl acting method POST
    acl act path_reg ^{_VERSION}/containers/{_NAME}/(start|stop|restart|pause|unpause|kill)$"""
    permitted = "{ var(txn.may) -m bool }"
    lines = ["http-request set-var(txn.may) bool(true) if reading look"]
    if acts:
        lines.append("http-request set-var(txn.may) bool(true) if acting act")
    rules = "\n    ".join(lines)
    return f"""global
    log stderr format raw local0 notice
    maxconn 200

defaults
    mode http
    timeout connect 5s
    timeout http-request 10s
    timeout client 1d
    timeout server 1d

frontend ssm
    bind {bind}
    acl reading method GET HEAD
    acl look path_reg ^{_VERSION}/(_ping|version|info|events|system/df|containers/json|images/json|volumes|networks)$
    acl look path_reg ^{_VERSION}/containers/{_NAME}/(json|logs|stats|top|changes)$
    acl look path_reg ^{_VERSION}/images/[a-zA-Z0-9][a-zA-Z0-9_.:@/-]*/(json|history)$
    acl look path_reg ^{_VERSION}/(volumes|networks)/{_NAME}$
    acl upwards path_sub ..{acts}
    http-request set-var(txn.may) bool(false)
    {rules}
    http-request deny deny_status 403 if upwards or !{permitted}
    http-request del-header Upgrade
    http-request del-header Connection
    default_backend engine

backend engine
    server engine unix@{facts.engine_socket}
"""


def proxy_unit(grade: Grade, facts: HostFacts) -> str:
    """A systemd unit that runs the proxy as a user who may open the engine's socket, and gives its own to ours."""
    return f"""[Unit]
Description=The engine's socket for SSM ({grade.label})
After=docker.service

[Service]
ExecStart=/usr/sbin/haproxy -db -f {PROXY_FILE}
User=haproxy
Group={facts.user if facts.transport in (SSH, LOCAL) else "haproxy"}
SupplementaryGroups=docker
RuntimeDirectory=ssm-docker
RuntimeDirectoryMode=0750
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
Restart=always

[Install]
WantedBy=multi-user.target
"""


def _behind_proxy(grade: Grade, facts: HostFacts) -> Recipe:
    is_remote = facts.transport in (TLS, TCP)
    proxy = (
        Piece("Install HAProxy", "sudo apt install haproxy    # or: dnf install haproxy"),
        Piece(
            "What goes through to the engine",
            proxy_configuration(grade, facts),
            file=PROXY_FILE,
            why="Requests that are not named here get 403; the engine never sees them.",
        ),
        Piece(
            "Run it",
            proxy_unit(grade, facts),
            file="/etc/systemd/system/ssm-docker.service",
            why="Then: sudo systemctl enable --now ssm-docker.",
        ),
    )
    note = (
        "Environment variables of containers can be read in this grade: the engine tells them to whoever may inspect."
    )
    if is_remote:
        certificates = Piece(
            "Certificates",
            "cat server-cert.pem server-key.pem | sudo tee /etc/haproxy/ssm/server.pem\n"
            "sudo cp ca.pem /etc/haproxy/ssm/",
            why="server.pem readable by haproxy alone; ca.pem is the authority of SSM's certificate.",
        )
        device = (("Reached by", "TCP with TLS"), ("Port", "2376"))
        return Recipe("proxy", "A proxy in front of the engine", (*proxy[:1], certificates, *proxy[1:]), device, note)
    own = (_user_piece(facts), _key_piece(facts), _sshd_piece(facts, PROXY_SOCKET)) if facts.transport == SSH else ()
    return Recipe("proxy", "A proxy in front of the engine", (*own, *proxy), (("Socket", PROXY_SOCKET),), note)
