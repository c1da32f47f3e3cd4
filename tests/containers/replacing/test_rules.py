"""Rules of replacing: what a successor has to show, what stands in the way, where an update leads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.apply_options import Options, keeps, read_options
from containers.rules.parameters import ParameterError
from containers.rules.probes import Probe, ProbeError, probe_places, read_probe
from containers.rules.replacement import (
    Watch,
    dependents,
    foreign_platform,
    judge,
    kept_name,
    look_of,
    passing_name,
    refusal,
    restart_policy,
    stop_timeout_s,
)
from containers.rules.specification import Specification
from containers.rules.update_targets import NoTargetError, Offer, Target, drift_of, retagged, targets, with_image
from registries.rules.references import ImageReference

STARTED = "2026-07-24T10:00:00.5Z"
SECOND = 1_000_000_000


def answer(status: str = "running", **more: Any) -> dict[str, Any]:
    """An inspect answer: keys of State, or ``check``, ``restarts``, ``host``."""
    check, restarts, host = more.pop("check", {}), more.pop("restarts", 0), more.pop("host", {})
    state = {"Status": status, "StartedAt": STARTED, "ExitCode": 0, **more}
    return {
        "Id": "a" * 64,
        "Name": "/web",
        "State": state,
        "RestartCount": restarts,
        "HostConfig": host,
        "Config": {"Healthcheck": check},
    }


def health(status: str, said: str = "") -> dict[str, Any]:
    return {"Health": {"Status": status, "Log": [{"Output": said}]}}


FAST = {"Interval": SECOND, "Timeout": SECOND, "Retries": 2, "StartPeriod": 5 * SECOND}


@pytest.mark.parametrize(
    ("latest", "up_s", "watch", "state", "said"),
    [
        (answer(), 3.0, Watch(10), "wait", "stays up for 10 seconds"),
        (answer(), 10.0, Watch(10), "well", "has stayed up for 10 seconds"),
        (answer("exited", ExitCode=3), 1.2, Watch(10), "bad", "ended within 1 second with exit code 3"),
        (answer("exited", ExitCode=137, OOMKilled=True), 4, Watch(10), "bad", "ran out of memory"),
        (answer("dead"), 1, Watch(10), "bad", "ended within"),
        (answer("restarting", ExitCode=1), 1, Watch(10), "bad", "started again"),
        (answer(restarts=1), 99, Watch(10), "bad", "started again"),
        (answer(StartedAt="2026-07-24T10:00:05Z"), 99, Watch(10), "bad", "started again"),
        (answer("paused"), 1, Watch(10), "bad", "paused"),
        (answer("created"), 1, Watch(10), "bad", "is created instead of running"),
        (answer(**health("healthy"), check=FAST), 0.5, Watch(10), "well", "health check passes"),
        (answer(**health("unhealthy", "no\nroute"), check=FAST), 1, Watch(10), "bad", "check failed: no route"),
        (answer(**health("starting"), check=FAST), 12, Watch(10), "wait", "until its health check"),
        (answer(**health("starting", "nope"), check=FAST), 42, Watch(10), "bad", "not healthy within 41 seconds; the"),
        (answer(**health("starting"), check=FAST), 21, Watch(10, patience_s=20), "bad", "not healthy within 20"),
        (answer(**health("none")), 10, Watch(10), "well", "stayed up"),
    ],
)
def test_judge_successor(latest: dict[str, Any], up_s: float, watch: Watch, state: str, said: str) -> None:
    verdict = judge(look_of(answer()), look_of(latest), up_s, watch)

    assert verdict.state == state
    assert said in verdict.text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "State",
                        "Status",
                        "Health",
                        "Log",
                        "HostConfig",
                        "Config",
                        "NetworkSettings",
                        "Ports",
                        "80/tcp",
                        "Networks",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_rules_of_any_answer_raise_nothing(value: Any) -> None:
    inspect = value if isinstance(value, dict) else {"State": value}

    judge(look_of(inspect), look_of(inspect), 1.0, Watch())
    refusal(inspect), restart_policy(inspect), probe_places(inspect, 80)
    assert 0 <= stop_timeout_s(inspect) <= 3600
    assert dependents(value, "a", "b") == []


@pytest.mark.parametrize(
    ("inspect", "said"),
    [
        (answer(host={"AutoRemove": True}), "--rm"),
        (answer("paused"), "paused"),
        (answer("removing"), "removing"),
        ({**answer(), "Config": {"Labels": {"com.docker.swarm.task.id": "x"}}}, "a Swarm service"),
        (answer("exited"), ""),
        (answer("restarting"), ""),
    ],
)
def test_refusal(inspect: dict[str, Any], said: str) -> None:
    found = refusal(inspect)

    assert (said in found[0]) if found else not said


def test_names_are_told_apart_and_bounded() -> None:
    moment = datetime(2026, 7, 24, 10, 42, 3, tzinfo=UTC)

    assert kept_name("web", moment) == "web-before-20260724-104203"
    assert passing_name("web", "0123abcd-4567-89ef-0123-456789abcdef") == "web-next-0123abcd4567"
    assert len(kept_name("x" * 250, moment)) < 250


def test_dependents_are_those_on_its_network() -> None:
    listed = [
        {"Names": ["/side"], "HostConfig": {"NetworkMode": f"container:{'a' * 64}"}},
        {"Names": ["/by-name"], "HostConfig": {"NetworkMode": "container:web"}},
        {"Names": ["/other"], "HostConfig": {"NetworkMode": "container:" + "b" * 64}},
        {"Names": ["/host"], "HostConfig": {"NetworkMode": "host"}},
        {"Names": ["/empty"], "HostConfig": {"NetworkMode": "container:"}},
    ]

    assert dependents(listed, "a" * 64, "web") == ["by-name", "side"]


@pytest.mark.parametrize(
    ("old", "new", "engine", "foreign"),
    [
        ("amd64", "arm64", "amd64", "linux/arm64"),
        ("amd64", "amd64", "amd64", ""),
        ("arm64", "arm64", "amd64", ""),  # emulated already
        ("amd64", "x86_64", "amd64", ""),
        ("amd64", "", "amd64", ""),
        ("amd64", "arm64", "", ""),
    ],
)
def test_foreign_platform(old: str, new: str, engine: str, foreign: str) -> None:
    found = foreign_platform(
        {"Os": "linux", "Architecture": old}, {"Os": "linux", "Architecture": new}, {"Os": "linux", "Arch": engine}
    )

    assert found == foreign


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("", None),
        ("tcp:5432", Probe("tcp", 5432)),
        ("TCP://:5432", Probe("tcp", 5432)),
        ("http:8080", Probe("http", 8080, "/")),
        ("http://:8080/health?deep=1", None),
        ("http:8080/health=204", Probe("http", 8080, "/health", 204)),
        ("http:8080/a/b", Probe("http", 8080, "/a/b")),
    ],
)
def test_read_probe(text: str, probe: Probe | None) -> None:
    if text.endswith("deep=1"):
        with pytest.raises(ProbeError):
            read_probe(text)
    else:
        assert read_probe(text) == probe
        assert probe is None or read_probe(probe.text) == probe


@pytest.mark.parametrize(
    "text",
    ["http:0/", "http:70000/", "tcp:80/x", "http://evil.example:80/", "http:80/ x", "http:80/\r\nX: y", "ftp:21"],
)
def test_read_probe_refuses(text: str) -> None:
    with pytest.raises(ProbeError):
        read_probe(text)


def test_probe_places_prefer_the_container_itself() -> None:
    inspect = {
        "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {
            "Networks": {"front": {"IPAddress": "172.18.0.4", "GlobalIPv6Address": ""}},
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]},
        },
    }

    assert probe_places(inspect, 80) == [("172.18.0.4", 80), ("127.0.0.1", 8080), ("::1", 8080)]
    assert probe_places({"HostConfig": {"NetworkMode": "host"}}, 80) == [("127.0.0.1", 80)]


OFFER = Offer("1.27.3", "2.0.0", "major", "sha256:" + "2" * 64, "1.28.1", "1.27.5", True, "sha256:" + "1" * 64, False)


def test_targets_offer_first_then_smaller_steps_then_the_new_build() -> None:
    assert [(target.tag, target.change) for target in targets(OFFER)] == [
        ("2.0.0", "major"),
        ("1.28.1", "minor"),
        ("1.27.5", "patch"),
        ("1.27.3", "digest"),
    ]


@pytest.mark.parametrize(
    ("written", "target", "reference"),
    [
        ("nginx", Target("1.28", "minor"), "nginx:1.28"),
        ("nginx:1.27", Target("1.28", "minor"), "nginx:1.28"),
        ("docker.io/library/nginx:1.27", Target("1.28", "minor"), "docker.io/library/nginx:1.28"),
        ("localhost:5000/app", Target("2", "major"), "localhost:5000/app:2"),
        ("r.example:5000/a/b:1", Target("2", "major"), "r.example:5000/a/b:2"),
        (f"nginx:1@sha256:{'0' * 64}", Target("2", "major", f"sha256:{'2' * 64}"), f"nginx:2@sha256:{'2' * 64}"),
        ("sha256:" + "0" * 64, Target("2", "major"), "demo/web:2"),
    ],
)
def test_retagged_keeps_the_spelling(written: str, target: Target, reference: str) -> None:
    fallback = ImageReference("docker.io", "demo/web", "1", None)

    assert retagged(written, fallback, target) == reference


@pytest.mark.parametrize(
    ("written", "tag"), [("sha256:" + "0" * 64, "2"), (f"nginx:1@sha256:{'0' * 64}", "2"), ("nginx:1", "no tag!")]
)
def test_retagged_refuses_what_has_no_name(written: str, tag: str) -> None:
    with pytest.raises(NoTargetError):
        retagged(written, None, Target(tag, "major"))


def test_with_image_lets_compose_know_the_new_image() -> None:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.image": "sha256:old", "own": "1"}
    made = with_image(Specification("web", {"Image": "a:1", "Labels": labels}, {}, ()), "a:2", "sha256:new")

    assert made.config["Image"] == "a:2"
    assert made.config["Labels"] == {**labels, "com.docker.compose.image": "sha256:new"}


def test_drift_names_project_and_files() -> None:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.project.config_files": "/srv/a.yml,/srv/b.yml"}
    found = drift_of(labels)

    assert found is not None
    assert (found.project, found.files) == ("shop", ("/srv/a.yml", "/srv/b.yml"))
    assert drift_of({"own": "1"}) is None


def test_read_options_takes_what_is_given_and_the_usual_for_the_rest() -> None:
    usual = Options(Watch(15), 5 * 3600)

    found = read_options({"stable_s": "30", "probe": "tcp:80", "keep_old_s": "0"}, usual)

    assert found == Options(Watch(30, 0, Probe("tcp", 80)), 0)
    assert read_options({}, usual) == usual
    assert (5 * 3600, "Keep it for 5 hours") in keeps(usual.keep_old_s)


@pytest.mark.parametrize(
    ("field", "text"),
    [("stable_s", "0"), ("stable_s", "5000"), ("patience_s", "-1"), ("probe", "what"), ("keep_old_s", "77")],
)
def test_read_options_refuses(field: str, text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_options({field: text}, Options(Watch(15), 3600))

    assert caught.value.field == field


def test_watch_survives_its_json() -> None:
    watch = Watch(20, 90, Probe("http", 80, "/x", 204))

    assert Watch.from_json(watch.as_json()) == watch
    assert Watch.from_json({"stable_s": -3, "patience_s": "x", "probe": "nonsense"}) == Watch()
