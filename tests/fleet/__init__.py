"""Real Docker hosts (sshd and engine) on one Debian machine, for tests and for the demo.

Each host is a set of namespaces of its own (mount, PID, network, UTS, IPC) with a cable to one bridge, its own /etc,
/var, /run, /home, /root and /tmp, its own users, sshd on port 22 and a real engine on /var/run/docker.sock. Nothing is
installed on the machine: Debian packages are unpacked into a cache and laid over /usr inside the hosts only. The host's
process 1 holds everything: when it is killed, the kernel ends every process, mount and network of that host, so `down`
is complete, also after a crash. Several fleets run side by side, each with a number: 10.77.<net>.0/24 on bridge
`fleet<net>`.

Standard library only: it must work before anything is installed.
"""

from tests.fleet.contents import ContainerPlan
from tests.fleet.errors import FleetError
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import Host
from tests.fleet.images import ImageRecipe
from tests.fleet.inventory import HostEntry, HostStatus, Inventory, RegistryEntry, UserEntry
from tests.fleet.layout import DEMO_NET, DEMO_TEST_NET, DEVELOPER_NET, SELF_TEST_NET, TEST_NET, net_from_environment

__all__ = [
    "DEMO_NET",
    "DEMO_TEST_NET",
    "DEVELOPER_NET",
    "SELF_TEST_NET",
    "TEST_NET",
    "ContainerPlan",
    "Fleet",
    "FleetError",
    "Host",
    "HostEntry",
    "HostStatus",
    "ImageRecipe",
    "Inventory",
    "RegistryEntry",
    "UserEntry",
    "net_from_environment",
]
