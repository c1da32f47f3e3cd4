"""Specifications from recorded inspect answers of engines 20.10, 26, 28 and podman 4 (tests/containers/data)."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from containers.rules.specification import (
    InvalidSpecificationError,
    Specification,
    create_body,
    differences,
    specification_of,
)

DOCKER = ("20", "26", "28")
ENGINES = (*DOCKER, "podman")
APIS = {"20": "1.41", "26": "1.45", "28": "1.51", "podman": "1.41"}


def recorded(engine: str, name: str = "") -> Any:
    """A recorded answer: of a container, or "image"."""
    answers = json.loads((Path(__file__).parent / "data" / f"inspect_{engine}.json").read_text())
    return answers[name]


def spec(engine: str, name: str = "rich", **options: Any) -> Specification:
    return specification_of(recorded(engine, name), recorded(engine, "image"), **options)


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_of_a_full_container_holds_what_was_asked_for(engine: str) -> None:
    found = spec(engine)

    assert found.name == "rec-rich"
    assert found.config["Cmd"] == ["serve", "--fast"]
    assert set(found.config["Env"]) == {"SHARED=mine", "TOKEN=s3cret"}
    assert found.config["Labels"] == {"own": "container", "com.docker.compose.project": "shop"}
    assert found.config["ExposedPorts"] == {"9000/udp": {}}
    assert found.config["Hostname"] == "richie"
    assert found.config["StopTimeout"] == 7
    assert found.config["Tty"] is True
    assert found.config["Healthcheck"]["Test"] == ["CMD", "true"]
    host = found.host_config
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 * 1024**2, 500_000_000, 100)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert host["PortBindings"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "18080"}]
    assert host["CapAdd"] == ["NET_ADMIN"]
    assert {"Name": "nofile", "Soft": 1024, "Hard": 2048} in host["Ulimits"]


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_leaves_out_what_only_the_image_says(engine: str) -> None:
    found = spec(engine)

    assert not {"Entrypoint", "User", "WorkingDir", "StopSignal"} & found.config.keys()
    # Podman's answer about an image does not tell its health check.
    assert ("Interval" in found.config["Healthcheck"]) is (engine == "podman")
    assert not any(
        entry.startswith(("PATH=", "FROM_IMAGE=", "container=", "HOSTNAME=")) for entry in found.config["Env"]
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_without_an_image_takes_everything_as_asked_for(engine: str) -> None:
    found = specification_of(recorded(engine, "rich"), {})

    assert found.config["Entrypoint"] == ["/app.sh"]
    assert found.config["WorkingDir"] == "/srv"
    assert "FROM_IMAGE=one" in found.config["Env"]


@pytest.mark.parametrize("engine", DOCKER)
def test_specification_networks_are_as_asked_for_the_first_leading(engine: str) -> None:
    (first, front), (second, back) = spec(engine).networks

    assert (first, second) == ("rec-front", "rec-back")
    assert front == {
        "IPAMConfig": {"IPv4Address": "10.91.0.7"},
        "Aliases": ["web", "rec-rich"],
        "MacAddress": "02:42:0a:5b:00:99",
    }
    assert back == {"Aliases": ["inner"]}


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_of_a_plain_container_names_nothing_of_its_own_run(engine: str) -> None:
    found = spec(engine, "plain")

    assert found.config.keys() - {"Image"} == ({"Healthcheck", "StopTimeout"} if engine == "podman" else set())
    assert [endpoint for _name, endpoint in found.networks] == [{}]
    assert found.host_config["NetworkMode"] == "bridge"
    assert not {"MaskedPaths", "ReadonlyPaths", "PidMode", "UTSMode"} & found.host_config.keys()


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_keeps_anonymous_volumes_by_name(engine: str) -> None:
    inspect = recorded(engine, "rich")
    names = {mount["Destination"]: mount["Name"] for mount in inspect["Mounts"] if mount["Type"] == "volume"}

    found = spec(engine)

    mounted = {bind.split(":")[1]: bind.split(":")[0] for bind in found.host_config["Binds"]}
    mounted |= {mount["Target"]: mount.get("Source", "") for mount in found.host_config.get("Mounts", [])}
    assert mounted["/data"] == names["/data"]
    assert mounted["/cache"] == names["/cache"]
    assert mounted["/nameless"] == names["/nameless"]
    assert mounted["/named"] == "rec-named"
    assert "Volumes" not in found.config


@pytest.mark.parametrize("engine", DOCKER)
def test_specification_without_keeping_makes_anonymous_volumes_anew(engine: str) -> None:
    found = spec(engine, keeps_anonymous_volumes=False)

    assert found.config["Volumes"] == {"/cache": {}}
    assert found.host_config["Binds"] == ["/etc:/host-etc:ro", "rec-named:/named"]
    assert {"Type": "volume", "Target": "/nameless"} in found.host_config["Mounts"]


@pytest.mark.parametrize("engine", DOCKER)
def test_specification_of_volumes_from_others_names_them_too(engine: str) -> None:
    inspect = recorded(engine, "linked")

    found = spec(engine, "linked")

    assert found.host_config["VolumesFrom"] == ["rec-plain"]
    assert found.host_config["Binds"] == [f"{inspect['Mounts'][0]['Name']}:/data"]
    assert found.host_config["Links"] == ["rec-plain:db"]
    assert found.config["Entrypoint"] == ["/bin/sh"]
    assert found.config["Cmd"] == ["-c", "sleep 9999"]


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_in_anothers_network_has_none_of_its_own(engine: str) -> None:
    shares, host = spec(engine, "shares"), spec(engine, "host_named")

    assert shares.host_config["NetworkMode"].startswith("container:")
    assert shares.networks == ()
    assert not {"Hostname", "ExposedPorts"} & shares.config.keys()
    assert host.host_config["NetworkMode"] == "host"
    assert host.networks == ()
    assert host.config["Hostname"] == "named"


@pytest.mark.parametrize("engine", DOCKER)
def test_specification_without_the_images_entry_point_says_so(engine: str) -> None:
    found = spec(engine, "bare")

    assert found.config["Entrypoint"] == [""]
    assert found.config["Cmd"] == ["/bin/sleep", "9999"]
    assert found.host_config["NetworkMode"] == "none"
    assert found.host_config["Privileged"] is True


@pytest.mark.parametrize(
    ("container", "image", "wanted"),
    [
        ({"Cmd": ["a"]}, {"Cmd": ["a"]}, {}),
        ({"Cmd": ["b"]}, {"Cmd": ["a"]}, {"Cmd": ["b"]}),
        ({"Entrypoint": ["e"], "Cmd": ["a"]}, {"Entrypoint": ["e"], "Cmd": ["a"]}, {}),
        ({"Entrypoint": ["e"]}, {"Entrypoint": ["e"], "Cmd": ["a"]}, {"Entrypoint": ["e"]}),
        ({"Entrypoint": ["f"], "Cmd": ["a"]}, {"Entrypoint": ["e"], "Cmd": ["a"]}, {"Entrypoint": ["f"], "Cmd": ["a"]}),
        ({"Entrypoint": None, "Cmd": ["a"]}, {"Entrypoint": ["e"]}, {"Entrypoint": [""], "Cmd": ["a"]}),
        ({"StopSignal": "SIGTERM"}, {}, {}),
        ({"StopSignal": "2"}, {"StopSignal": "SIGINT"}, {}),
        ({"StopSignal": "QUIT"}, {"StopSignal": "SIGINT"}, {"StopSignal": "QUIT"}),
        ({"StopSignal": "RTMIN+3"}, {}, {"StopSignal": "RTMIN+3"}),
        ({"WorkingDir": "/srv"}, {"WorkingDir": "/"}, {"WorkingDir": "/srv"}),
        ({"StopTimeout": 0}, {}, {"StopTimeout": 0}),
        ({"Healthcheck": {"Test": ["NONE"]}}, {}, {"Healthcheck": {"Test": ["NONE"]}}),
        ({"Env": ["A=", "B"]}, {"Env": ["A=1"]}, {"Env": ["A=", "B"]}),
    ],
)
def test_specification_of_values_against_the_images(container: Any, image: Any, wanted: Any) -> None:
    found = specification_of({"Name": "/x", "Config": {"Image": "i", **container}}, {"Config": image})

    assert found.config == {"Image": "i", **wanted}


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ({"MemorySwappiness": 0}, {"MemorySwappiness": 0}),
        ({"MemorySwappiness": -1}, {}),
        ({"MemorySwap": -1}, {"MemorySwap": -1}),
        ({"Init": False}, {"Init": False}),
        ({"MaskedPaths": [], "ReadonlyPaths": []}, {"MaskedPaths": [], "ReadonlyPaths": []}),
        ({"MaskedPaths": ["/proc/kcore", "/own"]}, {"MaskedPaths": ["/proc/kcore", "/own"]}),
        ({"MaskedPaths": ["/proc/kcore", "/sys/devices/system/cpu/cpu0/thermal_throttle"]}, {}),
        ({"NanoCpus": 5, "CpuQuota": 3, "CpuPeriod": 2}, {"NanoCpus": 5}),
        ({"CpuQuota": 3, "CpuPeriod": 2}, {"CpuQuota": 3, "CpuPeriod": 2}),
        ({"Binds": None, "OomKillDisable": False, "ConsoleSize": [0, 0], "ContainerIDFile": "/x"}, {}),
    ],
)
def test_specification_of_host_values_keeps_choices_and_drops_defaults(host: Any, wanted: Any) -> None:
    found = specification_of({"Config": {}, "HostConfig": host}, {})

    assert {key: value for key, value in found.host_config.items() if key != "NetworkMode"} == wanted


def test_specification_of_a_container_taken_off_its_networks_stays_off() -> None:
    inspect = recorded("28", "plain")
    inspect["NetworkSettings"]["Networks"] = {}

    assert specification_of(inspect, {}).host_config["NetworkMode"] == "none"


def test_specification_of_a_container_moved_to_another_network_names_that() -> None:
    inspect = recorded("28", "rich")
    del inspect["NetworkSettings"]["Networks"]["rec-front"]

    found = specification_of(inspect, {})

    assert found.host_config["NetworkMode"] == "rec-back"
    assert [name for name, _endpoint in found.networks] == ["rec-back"]


def test_specification_with_other_networks_changes_the_mode() -> None:
    found = spec("28").with_networks([("x", {"Aliases": ["y"]})])

    assert (found.host_config["NetworkMode"], found.networks) == ("x", (("x", {"Aliases": ["y"]}),))
    assert found.with_networks([]).host_config["NetworkMode"] == "none"


def test_create_body_before_api_1_44_takes_one_network_and_the_mac_beside_it() -> None:
    body, later = create_body(spec("28"), "1.43")

    assert list(body["NetworkingConfig"]["EndpointsConfig"]) == ["rec-front"]
    assert body["MacAddress"] == "02:42:0a:5b:00:99"
    assert "MacAddress" not in body["NetworkingConfig"]["EndpointsConfig"]["rec-front"]
    assert later == [("rec-back", {"Aliases": ["inner"]})]


def test_create_body_since_api_1_44_takes_all_networks() -> None:
    body, later = create_body(spec("28"), "1.44")

    assert list(body["NetworkingConfig"]["EndpointsConfig"]) == ["rec-front", "rec-back"]
    assert body["NetworkingConfig"]["EndpointsConfig"]["rec-front"]["MacAddress"] == "02:42:0a:5b:00:99"
    assert "MacAddress" not in body
    assert later == []


@pytest.mark.parametrize(
    ("key", "version", "is_kept"),
    [
        ("Annotations", "1.42", False),
        ("Annotations", "1.43", True),
        ("KernelMemory", "1.41", True),
        ("KernelMemory", "1.42", False),
    ],
)
def test_create_body_leaves_out_what_a_version_does_not_know(key: str, version: str, *, is_kept: bool) -> None:
    specification = Specification("x", {"Image": "i"}, {key: {"a": "b"}}, ())

    assert (key in create_body(specification, version)[0]["HostConfig"]) is is_kept


@pytest.mark.parametrize("engine", ENGINES)
def test_specification_survives_json(engine: str) -> None:
    found = spec(engine)

    assert Specification.from_json(json.loads(json.dumps(found.as_json()))) == found


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        {"name": 1, "config": {}, "host_config": {}, "networks": []},
        {"name": "x", "config": {}, "host_config": {}, "networks": [["a"]]},
        {"name": "x", "config": [], "host_config": {}, "networks": []},
    ],
)
def test_specification_from_other_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidSpecificationError):
        Specification.from_json(value)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Config": [], "HostConfig": "x"},
        {"Name": 1, "Mounts": {}, "NetworkSettings": []},
        {"HostConfig": {"Binds": [1, "x"], "Mounts": [1], "Links": ["/"], "Ulimits": "x", "LogConfig": 3}},
    ],
)
def test_specification_of_odd_answers_does_not_fail(answer: Any) -> None:
    assert isinstance(specification_of(answer, {}), Specification)


@pytest.mark.parametrize("engine", ENGINES)
def test_differences_with_itself_are_none(engine: str) -> None:
    inspect, image = recorded(engine, "rich"), recorded(engine, "image")

    assert differences(inspect, copy.deepcopy(inspect), old_image=image, new_image=image) == []


def test_differences_tell_what_is_lost() -> None:
    old, new, image = recorded("28", "rich"), recorded("28", "rich"), recorded("28", "image")
    new["HostConfig"]["Memory"] = 0
    new["Mounts"] = [mount for mount in new["Mounts"] if mount["Destination"] != "/named"]
    new["NetworkSettings"]["Networks"]["rec-front"]["Aliases"] = ["web"]
    del new["NetworkSettings"]["Networks"]["rec-back"]
    new["Config"]["Env"].remove("TOKEN=s3cret")

    found = differences(old, new, old_image=image, new_image=image)

    assert found == [
        "Memory differs from the old container's.",
        "The variable TOKEN is missing or has another value.",
        "rec-named is not mounted at /named as before.",
        "It is not on the network rec-back.",
        "On the network rec-front it lacks the alias rec-rich.",
    ]
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_create_body_for_the_default_network_says_it_by_the_mode_alone(engine: str) -> None:
    body, later = create_body(spec(engine, "plain"), APIS[engine])

    assert "NetworkingConfig" not in body
    assert body["HostConfig"]["NetworkMode"] == "bridge"
    assert later == []
