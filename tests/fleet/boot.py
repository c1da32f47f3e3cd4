"""Starting and ending a host: a set of namespaces held by one process, its process 1."""

import functools
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.fleet.cgroups import frozen_group, remove_groups, thaw
from tests.fleet.errors import FleetError
from tests.fleet.layout import MARK, Layout
from tests.fleet.network import Network
from tests.fleet.packages import BASE, PackageCache
from tests.fleet.processes import end_process, family, is_init, marked
from tests.fleet.shell import SYSTEM_PATH, read_file, wait_until, write_file

# /sys must be mounted anew to belong to the host's network namespace; the control groups are carried over,
# as containers fail without them. The host's own /run makes /var/run/docker.sock that host's engine.
_SCRIPT = """set -e
hostname {hostname}
mount -t overlay fleet-usr -o lowerdir={lower} /usr
mount -t overlay fleet-etc -o lowerdir=/etc,upperdir={directory}/etc,workdir={directory}/etc.work /etc
mount -t tmpfs -o mode=755,size=16m fleet-local /usr/local
mount --bind {directory} /mnt
mount -t tmpfs -o mode=755,size=64m fleet-run /run
mkdir -p /run/sshd /run/lock /run/fleet /run/cg
mount --rbind /sys/fs/cgroup /run/cg
mount -t sysfs sysfs /sys
mount --rbind /run/cg /sys/fs/cgroup
umount -l /run/cg && rmdir /run/cg
for d in var home root tmp; do mount --bind /mnt/$d /$d; done
umount /mnt
cd /
ldconfig
: > /run/fleet/booted
exec tini-static -- sleep infinity
"""


# The root and working directory too: the machine itself may be a chroot, which a mount namespace knows nothing of.
_ALL_NAMESPACES = ("-m", "-u", "-i", "-n", "-p", "--root", "--wd")


class Body:
    """The namespaces of one host. Killing process 1 ends every process, mount and network of the host."""

    def __init__(
        self, layout: Layout, packages: PackageCache, network: Network, *, number: int, name: str, directory: Path
    ) -> None:
        self._layout = layout
        self._packages = packages
        self._network = network
        self._number = number
        self._name = name
        self._directory = directory

    @property
    def init(self) -> int | None:
        """Process 1 of the host as this machine numbers it; None when the host is off."""
        noted = read_file(self._directory / "init.pid").strip()
        if noted.isdigit() and is_init(self._layout, int(noted), self._name):
            return int(noted)
        for pid in marked(self._layout).get(self._name, []):
            if is_init(self._layout, pid, self._name):
                return pid
        return None

    def require_init(self) -> int:
        """Process 1 of the host. Raises FleetError when the host is off."""
        init = self.init
        if init is None:
            raise FleetError(f"{self._name} is not running: `up` or `reboot` it first")
        return init

    def boot(self, *, engine: str, hostname: str) -> None:
        """Have the host on, with its cable in; its daemons are started by others."""
        init = self.init
        if init is not None:
            if Path(f"/proc/{init}/root/run/fleet/ready").exists():
                return
            self.kill()  # a crash left it half started
        self._network.unplug(self._number)
        lower = f"{self._packages.usr(engine)}:{self._packages.usr(BASE)}:/usr"
        script = _SCRIPT.format(hostname=hostname, lower=lower, directory=self._directory)
        log = self._directory / "boot.log"
        with log.open("wb") as output:
            outer = subprocess.Popen(
                ["unshare", "-m", "-u", "-i", "-n", "-p", "-f", "--mount-proc", "sh", "-c", script],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={"PATH": SYSTEM_PATH, MARK: self._layout.mark(self._name), "LC_ALL": "C.UTF-8"},
            )

        def booted() -> int | None:
            if outer.poll() is not None:
                raise FleetError(f"{self._name} did not start: {read_file(log)[-500:].strip()}")
            children = read_file(Path(f"/proc/{outer.pid}/task/{outer.pid}/children")).split()
            is_up = bool(children) and Path(f"/proc/{children[0]}/root/run/fleet/booted").exists()
            return int(children[0]) if is_up else None

        fresh = wait_until(booted, 30, self._name)
        write_file(self._directory / "init.pid", f"{fresh}\n")
        self._network.plug_in(self._number, fresh)
        write_file(Path(f"/proc/{fresh}/root/run/fleet/ready"), "")

    def command(self, *words: str) -> tuple[str, ...]:
        """The command line that runs `words` as root inside the host."""
        return ("nsenter", "-t", str(self.require_init()), *_ALL_NAMESPACES, *words)

    def environment(self, extra: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
        """Variables of root's processes inside the host."""
        basic = {"PATH": SYSTEM_PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}
        return {**basic, MARK: self._layout.mark(self._name), **dict(extra)}

    def kill(self) -> None:
        """End the host at once, as a power cut does; its files stay."""
        init = self.init
        if init is not None:
            frozen = {group for pid in family(init) if (group := frozen_group(pid)) is not None}

            def thaw_all() -> None:
                for group in frozen:
                    thaw(group)

            still = functools.partial(is_init, self._layout, init, self._name)
            end_process(init, still, wait_s=30, after=thaw_all)
        self._network.unplug(self._number)
        remove_groups(self._layout.control_group(self._name))
