"""`docker run` and compose files from inspect answers."""

import shlex
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.commands import compose_file, docker_run
from containers.rules.recipe import recipe

ID = "e77905040f1f" + "0" * 52
PLAIN: dict[str, Any] = {
    "Id": ID,
    "Name": "/web",
    "Config": {"Image": "nginx:1.27", "Hostname": "e77905040f1f", "Cmd": None, "Entrypoint": None, "WorkingDir": "/"},
    "HostConfig": {
        "NetworkMode": "default",
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {}},
        "ShmSize": 67108864,
        "IpcMode": "private",
        "Runtime": "runc",
    },
    "NetworkSettings": {"Networks": {"bridge": {"IPAMConfig": None, "Aliases": None}}},
    "Mounts": [],
}
RICH: dict[str, Any] = {
    "Id": ID,
    "Name": "/db",
    "Config": {
        "Image": "postgres:16",
        "Hostname": "db.local",
        "User": "999",
        "Entrypoint": ["/entry.sh", "--fast"],
        "Cmd": ["postgres", "-c", "a b"],
        "Labels": {"com.docker.compose.project": "x", "owner": "o'neill"},
        "ExposedPorts": {"5432/tcp": {}, "9999/udp": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "pg_isready || exit 1"], "Interval": 30_000_000_000, "Retries": 3},
    },
    "HostConfig": {
        "NetworkMode": "back",
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
        "PortBindings": {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "15432"}]},
        "Memory": 536870912,
        "MemorySwap": 1073741824,
        "NanoCpus": 1500000000,
        "CapAdd": ["NET_ADMIN"],
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
        "Tmpfs": {"/run": "size=64m"},
        "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}],
    },
    "NetworkSettings": {
        "Networks": {
            "back": {"IPAMConfig": {"IPv4Address": "172.30.0.9"}, "Aliases": ["database", "e77905040f1f"]},
            "front": {"IPAMConfig": None, "Aliases": None},
        }
    },
    "Mounts": [
        {"Type": "volume", "Name": "data", "Destination": "/var/lib/postgresql", "RW": True},
        {"Type": "bind", "Source": "/etc/pg", "Destination": "/etc/pg", "RW": False, "Propagation": "rprivate"},
        {"Type": "volume", "Name": "0" * 64, "Destination": "/cache", "RW": True},
    ],
}


def words(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", " "))


def test_docker_run_of_a_plain_container_is_plain() -> None:
    assert docker_run(recipe(PLAIN, [])) == "docker run --detach \\\n  --name web \\\n  nginx:1.27\n"


def test_docker_run_says_all_that_is_not_a_default() -> None:
    first, second = docker_run(recipe(RICH, [("PASSWORD", "it's $5")])).strip().rsplit("\n", 1)
    said = words(first)

    def values(option: str) -> list[str]:
        return [said[at + 1] for at, word in enumerate(said) if word == option]

    assert values("--env") == ["PASSWORD=it's $5"]
    assert values("--publish") == ["127.0.0.1:15432:5432"]
    assert values("--expose") == ["9999/udp"]
    assert values("--volume") == ["/cache", "/etc/pg:/etc/pg:ro", "data:/var/lib/postgresql"]
    assert (values("--network"), values("--network-alias"), values("--ip")) == (["back"], ["database"], ["172.30.0.9"])
    assert (values("--memory"), values("--memory-swap"), values("--cpus")) == (["512m"], [], ["1.5"])
    assert values("--restart") == ["on-failure:5"]
    assert values("--label") == ["owner=o'neill"]
    assert (values("--health-cmd"), values("--health-interval")) == (["pg_isready || exit 1"], ["30s"])
    assert said[-5:] == ["postgres:16", "--fast", "postgres", "-c", "a b"]
    assert values("--entrypoint") == ["/entry.sh"]
    assert words(second) == ["docker", "network", "connect", "front", "db"]


def test_compose_file_reads_back_as_the_service() -> None:
    whole = yaml.safe_load(compose_file(recipe(RICH, [("PASSWORD", "it's $5")]), "database"))
    service = whole["services"]["database"]

    assert service["environment"] == {"PASSWORD": "it's $$5"}
    assert service["command"] == ["postgres", "-c", "a b"]
    assert service["networks"] == {"back": {"aliases": ["database"], "ipv4_address": "172.30.0.9"}, "front": None}
    assert (service["mem_limit"], service["cpus"]) == ("512m", 1.5)
    assert service["healthcheck"] == {"test": ["CMD-SHELL", "pg_isready || exit 1"], "interval": "30s", "retries": 3}
    assert whole["volumes"] == {"data": {"external": True}}
    assert whole["networks"] == {"back": {"external": True}, "front": {"external": True}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted({*PLAIN["Config"], *RICH["Config"], *RICH["HostConfig"], *PLAIN["HostConfig"]})


@given(st.dictionaries(st.sampled_from(KEYS), json_values), st.dictionaries(st.sampled_from(KEYS), json_values))
def test_odd_answers_give_text_that_a_shell_and_yaml_can_read(config: dict[str, Any], host: dict[str, Any]) -> None:
    found = recipe(
        {"Config": config, "HostConfig": host, "Mounts": [host], "NetworkSettings": {"Networks": config}}, []
    )

    words(docker_run(found))
    yaml.safe_load(compose_file(found, "x"))
