"""From the form to a specification: values, what is refused, what is kept (pure)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers.forms.creation_fields import ROW_TEXTS, TEXTS
from containers.rules.changing import EMPTY, apply_changes
from containers.rules.creation import check
from containers.rules.creation_refusals import creation_fix
from containers.rules.creation_rows import port_entries
from containers.rules.creation_values import FIELDS
from containers.rules.drafts import ROWS, SINGLE, Draft, draft_of, read_draft
from containers.rules.masking import MASK
from containers.rules.specification import Specification, specification_of
from tests.containers.test_specification import ENGINES, recorded

GOOD = {"name": "web", "image": "nginx:1.27"}


def port(ip: str = "", host: str = "", container: str = "80", protocol: str = "tcp") -> dict[str, str]:
    return {"ip": ip, "host": host, "container": container, "protocol": protocol}


def mount(kind: str = "volume", source: str = "", target: str = "/data", options: str = "") -> dict[str, str]:
    return {"kind": kind, "source": source, "target": target, "options": options}


def network(name: str = "app", aliases: str = "", ipv4: str = "", ipv6: str = "") -> dict[str, str]:
    return {"name": name, "aliases": aliases, "ipv4": ipv4, "ipv6": ipv6}


def pair(name: str, value: str = "") -> dict[str, str]:
    return {"name": name, "value": value}


def made(rows: dict[str, Any] | None = None, **fields: str) -> Specification:
    """The specification that a right form gives."""
    checked = check(
        Draft({**GOOD, **fields}, {k: tuple(v) for k, v in (rows or {}).items()}), Draft(), sees_values=True
    )
    assert checked.errors == {}
    return apply_changes(EMPTY, json.loads(json.dumps(checked.changes)))


def errors(rows: dict[str, Any] | None = None, **fields: str) -> dict[str, str]:
    checked = check(
        Draft({**GOOD, **fields}, {k: tuple(v) for k, v in (rows or {}).items()}), Draft(), sees_values=True
    )
    return dict(checked.errors)


@pytest.mark.parametrize(
    ("fields", "part", "expected"),
    [
        ({"command": "sh -c 'echo \"a b\"; exit'"}, "config", {"Cmd": ["sh", "-c", 'echo "a b"; exit']}),
        ({"entrypoint": "''"}, "config", {"Entrypoint": [""]}),
        ({"user": "1000:1000", "working_dir": "/srv"}, "config", {"User": "1000:1000", "WorkingDir": "/srv"}),
        ({"hostname": "web-1.lan", "tty": "on", "stdin": "on"}, "config", {"Hostname": "web-1.lan", "Tty": True}),
        ({"stop_signal": "sigquit", "stop_timeout": "0"}, "config", {"StopSignal": "SIGQUIT", "StopTimeout": 0}),
        (
            {"memory": "512m", "memory_reservation": "256m"},
            "host",
            {"Memory": 512 << 20, "MemoryReservation": 256 << 20},
        ),
        ({"cpus": "1,5", "cpuset": "0-1", "pids": "100"}, "host", {"NanoCpus": 1_500_000_000, "CpusetCpus": "0-1"}),
        (
            {"restart_policy": "on-failure", "restart_tries": "3"},
            "host",
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        ),
        (
            {"restart_policy": "always", "restart_tries": "3"},
            "host",
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
        ),
        ({"cap_add": "net_admin\n\nSYS_TIME"}, "host", {"CapAdd": ["NET_ADMIN", "SYS_TIME"]}),
        (
            {"devices": "/dev/a\n/dev/b:/dev/c:r\n/dev/d:rw"},
            "host",
            {
                "Devices": [
                    {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
                    {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "r"},
                    {"PathOnHost": "/dev/d", "PathInContainer": "/dev/d", "CgroupPermissions": "rw"},
                ]
            },
        ),
        (
            {"extra_hosts": "db:10.0.0.5\nhost:host-gateway"},
            "host",
            {"ExtraHosts": ["db:10.0.0.5", "host:host-gateway"]},
        ),
        (
            {"ulimits": "nofile=1024:4096\nnproc=5"},
            "host",
            {"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 4096}, {"Name": "nproc", "Soft": 5, "Hard": 5}]},
        ),
        ({"sysctls": "net.core.somaxconn=1024"}, "host", {"Sysctls": {"net.core.somaxconn": "1024"}}),
        (
            {"log_driver": "json-file", "log_options": "max-size=10m"},
            "host",
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}},
        ),
        ({"health_kind": "none"}, "config", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            {
                "health_kind": "shell",
                "health_command": "curl -f http://localhost",
                "health_interval": "1m30s",
                "health_retries": "2",
            },
            "config",
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "curl -f http://localhost"],
                    "Interval": 90_000_000_000,
                    "Retries": 2,
                }
            },
        ),
        (
            {"health_kind": "exec", "health_command": "test -e '/a b'", "health_timeout": "500ms"},
            "config",
            {"Healthcheck": {"Test": ["CMD", "test", "-e", "/a b"], "Timeout": 500_000_000}},
        ),
        ({"health_kind": "image", "health_interval": "10"}, "config", {"Healthcheck": {"Interval": 10_000_000_000}}),
        ({"network_mode": "host"}, "host", {"NetworkMode": "host"}),
        ({"network_mode": "container", "network_container": "vpn"}, "host", {"NetworkMode": "container:vpn"}),
    ],
)
def test_fields_become_keys_of_the_engine(fields: dict[str, str], part: str, expected: dict[str, Any]) -> None:
    found = made(**fields)

    values = found.config if part == "config" else found.host_config
    assert {key: values[key] for key in expected} == expected


def test_rows_become_ports_mounts_networks_variables_and_labels() -> None:
    found = made(
        {
            "env": [pair("A", "1=2"), pair("B", " x "), pair("", "")],
            "label": [pair("traefik.enable", "true")],
            "port": [port("127.0.0.1", "8080"), port("", "", "53", "udp"), port("", "9000-9001", "90-91")],
            "mount": [
                mount("volume", "data", "/data", "ro"),
                mount("volume", "", "/cache"),
                mount("bind", "/etc/app", "/etc/app", "ro,rshared"),
                mount("bind", "/srv/new", "/new", "create"),
                mount("bind", "/srv/se", "/se", "z"),
                mount("tmpfs", "", "/tmp", "size=64m"),
            ],
            "network": [network("front", "web, www", "10.1.2.3"), network("back")],
        }
    )

    assert found.config["Env"] == ["A=1=2", "B= x "]
    assert found.config["Labels"] == {"traefik.enable": "true"}
    assert found.host_config["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "", "HostPort": ""}],
        "90/tcp": [{"HostIp": "", "HostPort": "9000"}],
        "91/tcp": [{"HostIp": "", "HostPort": "9001"}],
    }
    assert found.config["ExposedPorts"].keys() == found.host_config["PortBindings"].keys()
    assert found.host_config["Binds"] == ["data:/data:ro", "/srv/new:/new", "/srv/se:/se:z"]
    assert found.host_config["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/etc/app",
            "Target": "/etc/app",
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rshared"},
        }
    ]
    assert found.host_config["Tmpfs"] == {"/tmp": "size=64m"}
    assert found.config["Volumes"] == {"/cache": {}}
    assert found.networks == (
        ("front", {"Aliases": ["web", "www"], "IPAMConfig": {"IPv4Address": "10.1.2.3"}}),
        ("back", {}),
    )
    assert found.host_config["NetworkMode"] == "front"


@pytest.mark.parametrize(
    ("rows", "fields", "key"),
    [
        ({}, {"name": ""}, "name"),
        ({}, {"name": "-x"}, "name"),
        ({}, {"image": ""}, "image"),
        ({}, {"image": "Not An Image"}, "image"),
        ({}, {"command": "echo 'open"}, "command"),
        ({}, {"memory": "5m"}, "memory"),
        ({}, {"memory": "much"}, "memory"),
        ({}, {"memory": "64m", "memory_reservation": "65m"}, "memory_reservation"),
        ({}, {"cpus": "all"}, "cpus"),
        ({}, {"cpuset": "0-"}, "cpuset"),
        ({}, {"hostname": "a_b"}, "hostname"),
        ({}, {"working_dir": "srv"}, "working_dir"),
        ({}, {"stop_signal": "please"}, "stop_signal"),
        ({}, {"stop_timeout": "-1s"}, "stop_timeout"),
        ({}, {"restart_policy": "sometimes"}, "restart_policy"),
        ({}, {"restart_policy": "always", "auto_remove": "on"}, "auto_remove"),
        ({}, {"health_kind": "shell"}, "health_command"),
        ({}, {"health_interval": "soon"}, "health_interval"),
        ({}, {"health_retries": "x"}, "health_retries"),
        ({}, {"cap_add": "net admin"}, "cap_add"),
        ({}, {"devices": "ttyUSB0"}, "devices"),
        ({}, {"dns": "dns.example"}, "dns"),
        ({}, {"extra_hosts": "db"}, "extra_hosts"),
        ({}, {"sysctls": "net.core.somaxconn"}, "sysctls"),
        ({}, {"ulimits": "nofile=9:5"}, "ulimits"),
        ({}, {"log_options": "max-size=1m"}, "log_driver"),
        ({}, {"network_mode": "container"}, "network_container"),
        ({}, {"network_mode": "bogus"}, "network_mode"),
        ({"port": [port()]}, {"network_mode": "host"}, "network_mode"),
        ({"env": [pair("", "x")]}, {}, "env:0:name"),
        ({"env": [pair("A"), pair("A")]}, {}, "env:1:name"),
        ({"env": [pair("A B")]}, {}, "env:0:name"),
        ({"label": [pair("", "x")]}, {}, "label:0:name"),
        ({"port": [port(host="1", container="")]}, {}, "port:0:container"),
        ({"port": [port(container="70000")]}, {}, "port:0:container"),
        ({"port": [port(host="http")]}, {}, "port:0:host"),
        ({"port": [port(host="80-90", container="80-81")]}, {}, "port:0:host"),
        ({"port": [port(ip="localhost")]}, {}, "port:0:ip"),
        ({"port": [port(protocol="icmp")]}, {}, "port:0:protocol"),
        ({"port": [port(host="80"), port(host="80", container="81")]}, {}, "port:1:host"),
        ({"mount": [mount(source="x", target="data")]}, {}, "mount:0:target"),
        ({"mount": [mount(source="ab"), mount(source="cd")]}, {}, "mount:1:target"),
        ({"mount": [mount("bind", "etc")]}, {}, "mount:0:source"),
        ({"mount": [mount("volume", "/etc")]}, {}, "mount:0:source"),
        ({"mount": [mount("tmpfs", "x")]}, {}, "mount:0:source"),
        ({"mount": [mount("floppy")]}, {}, "mount:0:kind"),
        ({"mount": [mount(options="writable")]}, {}, "mount:0:options"),
        ({"network": [network("app"), network("app")]}, {}, "network:1:name"),
        ({"network": [network("bridge", aliases="x")]}, {}, "network:0:aliases"),
        ({"network": [network(ipv4="10.0.0.300")]}, {}, "network:0:ipv4"),
        ({"network": [network(ipv6="10.0.0.3")]}, {}, "network:0:ipv6"),
        ({"network": [network(aliases="-x")]}, {}, "network:0:aliases"),
    ],
)
def test_wrong_values_are_explained_at_their_field(rows: dict[str, Any], fields: dict[str, str], key: str) -> None:
    found = errors(rows, **fields)

    assert list(found) == [key]
    assert found[key].endswith(".")


def test_an_untouched_row_is_no_row() -> None:
    found = made({"port": [port(container="")], "mount": [mount(target="")], "env": [pair("")]})

    assert "PortBindings" not in found.host_config
    assert "Binds" not in found.host_config


# ---- a container that exists


def form_of(engine: str, name: str = "rich", *, sees_values: bool = True) -> tuple[Specification, Draft]:
    base = specification_of(recorded(engine, name), recorded(engine, "image"))
    return base, draft_of(base, sees_values=sees_values)


def changed(shown: Draft, rows: dict[str, Any] | None = None, **fields: str) -> Draft:
    return Draft({**shown.fields, **fields}, {**shown.rows, **{k: tuple(v) for k, v in (rows or {}).items()}})


@pytest.mark.parametrize("name", ["rich", "plain", "host_named", "shares", "linked", "bare"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_form_that_was_not_touched_changes_nothing(engine: str, name: str) -> None:
    try:
        _base, shown = form_of(engine, name)
    except KeyError:
        pytest.skip("podman has no links")
    sent = read_draft(lambda field: [*_as_posted(shown, field)])

    checked = check(sent, shown, sees_values=True)

    assert (checked.errors, checked.changes) == ({}, {})


def _as_posted(shown: Draft, field: str) -> list[str]:
    """As a browser sends the form: text areas with CR and LF, boxes that are not ticked not at all."""
    kind, _underscore, column = field.partition("_")
    if kind in ROWS and column in ROWS[kind]:
        return [row[column].replace("\n", "\r\n") for row in shown.of(kind)]
    value = shown.fields.get(field, "")
    return [value.replace("\n", "\r\n")] if value else []


@pytest.mark.parametrize("engine", ["20", "26", "28"])
def test_one_change_leaves_all_the_rest(engine: str) -> None:
    base, shown = form_of(engine)

    checked = check(changed(shown, memory="128m"), shown, sees_values=True)
    found = apply_changes(base, checked.changes)

    assert found.host_config["Memory"] == 128 << 20
    without = {"Memory", "MemorySwap"}
    assert {k: v for k, v in found.host_config.items() if k not in without} == {
        k: v for k, v in base.host_config.items() if k not in without
    }
    assert (found.config, found.networks, found.name) == (base.config, base.networks, base.name)


def test_cleared_fields_go_back_to_the_defaults() -> None:
    base, shown = form_of("28")

    checked = check(changed(shown, command="", memory="", hostname="", tty="", cap_add=""), shown, sees_values=True)
    found = apply_changes(base, checked.changes)

    assert checked.errors == {}
    assert not {"Cmd", "Hostname", "Tty"} & found.config.keys()
    assert not {"Memory", "CapAdd"} & found.host_config.keys()


def test_a_mount_that_stays_keeps_what_the_form_does_not_show() -> None:
    base, shown = form_of("28")
    rows = [row for row in shown.of("mount") if row["target"] != "/named"] + [mount("volume", "other", "/other")]

    found = apply_changes(base, check(changed(shown, {"mount": rows}), shown, sees_values=True).changes)

    assert {"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": 1048576}} in found.host_config[
        "Mounts"
    ]
    assert "/etc:/host-etc:ro" in found.host_config["Binds"]
    assert "other:/other" in found.host_config["Binds"]
    assert not any("/named" in bind for bind in found.host_config["Binds"])


def test_a_network_that_stays_keeps_its_mac_address() -> None:
    base, shown = form_of("28")
    rows = [network("rec-front", "web, rec-rich, api", "10.91.0.8")]

    found = apply_changes(base, check(changed(shown, {"network": rows}), shown, sees_values=True).changes)

    assert found.networks == (
        (
            "rec-front",
            {
                "Aliases": ["web", "rec-rich", "api"],
                "IPAMConfig": {"IPv4Address": "10.91.0.8"},
                "MacAddress": "02:42:0a:5b:00:99",
            },
        ),
    )


# ---- hidden values


def test_hidden_values_are_kept_without_being_known() -> None:
    base, shown = form_of("28", sees_values=False)
    assert {row["value"] for row in shown.of("env")} == {MASK}
    rows = [pair("SHARED", MASK), pair("TOKEN", "new"), pair("MORE", "1")]

    checked = check(changed(shown, {"env": rows}), shown, sees_values=False)
    found = apply_changes(base, checked.changes)

    assert checked.errors == {}
    assert set(found.config["Env"]) == {"SHARED=mine", "TOKEN=new", "MORE=1"}
    assert "s3cret" not in json.dumps(checked.changes)


@pytest.mark.parametrize(
    ("field", "value", "is_refused"),
    [
        ("command", "env", True),
        ("entrypoint", "/bin/env", True),
        ("health_command", "env", True),
        ("log_options", "env=TOKEN", True),
        ("log_driver", "syslog", True),
        ("image", "evil/image:1", True),
        ("image", "test/recorded:2.0.0", False),
        ("memory", "1g", False),
    ],
)
def test_hidden_values_cannot_be_brought_to_light(field: str, value: str, *, is_refused: bool) -> None:
    _base, shown = form_of("28", sees_values=False)

    hidden = check(changed(shown, **{field: value}), shown, sees_values=False)
    given = check(
        changed(shown, {"env": [pair("SHARED", "a"), pair("TOKEN", "b")]}, **{field: value}), shown, sees_values=False
    )

    assert (field in hidden.errors) is is_refused
    assert field not in given.errors


def test_a_changed_text_with_the_sign_for_hidden_is_refused() -> None:
    _base, shown = form_of("28")

    found = check(
        changed(shown, {"label": [pair("own", f"x{MASK}")]}, command=f"serve --token {MASK}"), shown, sees_values=True
    )

    assert {"command", "label:0:value"} <= found.errors.keys()


# ---- rows


def test_lines_of_an_env_file_become_variables() -> None:
    draft = Draft(rows={"env": (pair("A", "old"), pair(""))})

    found = draft.with_variables("# note\nA=new\nexport B='two words'\n\nC=\nbroken line\nD=x=y")

    assert [(row["name"], row["value"]) for row in found.of("env")] == [
        ("A", "new"),
        ("B", "two words"),
        ("C", ""),
        ("D", "x=y"),
    ]


def test_rows_are_added_and_dropped() -> None:
    draft = Draft(rows={"port": (port(host="1"), port(host="2"))})

    assert [row["host"] for row in draft.without_row("port", 0).of("port")] == ["2"]
    assert draft.with_row("port").of("port")[2] == port(container="")
    assert len(draft.without_row("port", 99).of("port")) == 2


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from([*SINGLE, "env_name", "env_value", "port_container", "mount_target", "network_name"]),
        st.lists(st.text(max_size=30), max_size=4),
        max_size=12,
    )
)
def test_whatever_is_sent_is_answered(sent: dict[str, list[str]]) -> None:
    draft = read_draft(lambda name: sent.get(name, []))

    checked = check(draft, Draft(), sees_values=True)

    assert set(dict(port_entries(draft))) <= set(range(len(draft.of("port"))))
    assert json.loads(json.dumps(checked.changes)) == checked.changes


def test_every_field_has_its_words() -> None:
    assert set(TEXTS) == set(SINGLE)
    assert {each.name for each in FIELDS} <= set(TEXTS)
    assert {kind: tuple(texts) for kind, texts in ROW_TEXTS.items()} == dict(ROWS)


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ('Conflict. The container name "/x" is already in use by container "ab".', "another name"),
        (
            "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
            "port",
        ),
        ("failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use", "host port"),
        ('invalid mount config for type "bind": bind source path does not exist: /nope', "“create”"),
        ("No such image: nope:1", "pull it"),
        ("network nope not found", "network"),
        (
            "user specified IP address is supported only when connecting to networks with user configured subnets",
            "subnet",
        ),
        ('exec: "nope": executable file not found in $PATH: unknown', "command"),
        ("Address already in use", "address"),
        ("something new", ""),
    ],
)
def test_refusals_of_engines_come_with_advice(said: str, fix: str) -> None:
    found = creation_fix(said)

    assert fix.lower() in found.lower() if fix else found == ""
