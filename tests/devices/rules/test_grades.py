"""Grades of access, and the recipes' texts."""

import re

import pytest

from devices.rules.grades import ABILITIES, Grade, abilities_up_to, grade_of, is_refusal
from devices.rules.recipes import HostFacts, authorized_keys, kit_for, proxy_configuration, sudoers_line

WATCH = {ability.key for ability in ABILITIES if ability.grade is Grade.WATCH}
OPERATE = {ability.key for ability in ABILITIES if ability.grade is Grade.OPERATE}
ALL = {ability.key for ability in ABILITIES}


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        (set(), Grade.NOTHING),
        (WATCH - {"logs"}, Grade.NOTHING),
        (WATCH, Grade.WATCH),
        (WATCH | {"start"}, Grade.WATCH),
        (OPERATE, Grade.NOTHING),
        (WATCH | OPERATE, Grade.OPERATE),
        (WATCH | OPERATE | {"exec"}, Grade.OPERATE),
        (ALL, Grade.EVERYTHING),
        (ALL - {"pause"}, Grade.WATCH),
        (ALL | {"figures"}, Grade.EVERYTHING),
    ],
)
def test_grade_is_the_highest_that_lacks_nothing(abilities: set[str], expected: Grade) -> None:
    assert grade_of(abilities) is expected


def test_grades_build_on_each_other() -> None:
    keys = [{ability.key for ability in abilities_up_to(grade)} for grade in Grade]

    assert keys[0] == set()
    assert keys[1] < keys[2] < keys[3] == ALL


@pytest.mark.parametrize(("status", "refused"), [(200, False), (400, False), (404, False), (500, False), (403, True)])
def test_refusals_are_told_from_answers_of_an_engine(status: int, refused: bool) -> None:
    assert is_refusal(status) is refused


def test_questions_change_nothing() -> None:
    for ability in ABILITIES:
        for question in ability.questions:
            names_nothing = "{name}" in question.path
            is_harmless = question.method == "GET" or names_nothing or question.path.endswith(("/create",))
            assert is_harmless, question
            if question.path == "/containers/create":
                assert question.body == {}
            if question.path == "/images/create":
                assert question.parameters["fromImage"] != str(question.parameters["fromImage"]).lower()


@pytest.mark.parametrize(
    ("username", "socket", "user", "engine_socket"),
    [
        ("ssm", "/var/run/docker.sock", "ssm", "/var/run/docker.sock"),
        ("root", "/var/run/docker.sock", "ssm", "/var/run/docker.sock"),
        ("a\nMatch all", "/run/podman/podman.sock", "ssm", "/run/podman/podman.sock"),
        ("deploy", "/tmp/x y", "deploy", "/var/run/docker.sock"),
        ("deploy", '/tmp/"; rm -rf', "deploy", "/var/run/docker.sock"),
        ("deploy", "/run/ssm-docker/docker.sock", "deploy", "/var/run/docker.sock"),
    ],
)
def test_recipes_take_over_plain_names_alone(username: str, socket: str, user: str, engine_socket: str) -> None:
    facts = HostFacts(username, socket_path=socket)

    assert (facts.user, facts.engine_socket) == (user, engine_socket)


def test_lines_are_exactly_these() -> None:
    facts = HostFacts("ssm", "ssh-ed25519 AAAA")

    assert authorized_keys(facts) == "restrict,port-forwarding ssh-ed25519 AAAA ssm"
    assert authorized_keys(facts, "true") == 'restrict,command="true" ssh-ed25519 AAAA ssm'
    assert sudoers_line(facts) == (
        r"ssm ALL=(root) NOPASSWD: /usr/bin/docker -H unix\:///var/run/docker.sock system dial-stdio" + "\n"
    )


@pytest.mark.parametrize("grade", [Grade.WATCH, Grade.OPERATE])
@pytest.mark.parametrize(
    ("path", "watch", "operate"),
    [
        ("/v1.45/containers/json", True, False),
        ("/_ping", True, False),
        ("/v1.45/images/registry.example.com:5000/team/app:1.0/json", True, False),
        ("/v1.45/containers/web/export", False, False),
        ("/v1.45/containers/web/archive", False, False),
        ("/v1.45/containers/../images/json", False, False),
        ("/v1.45/containers/web/attach/ws", False, False),
        ("/v1.45/images/get", False, False),
        ("/v1.45/exec/1/json", False, False),
        ("/v1.45/secrets", False, False),
        ("/v1.45/containers/web/start", False, True),
        ("/v1.45/containers/web/exec", False, False),
        ("/v1.45/containers/web%2fstart", False, False),
        ("/v1.45/containers/create", False, False),
    ],
)
def test_proxy_names_what_it_lets_through(grade: Grade, path: str, watch: bool, operate: bool) -> None:
    text = proxy_configuration(grade, HostFacts("ssm"))
    looks = re.findall(r"acl look path_reg (\S+)", text)
    acts = re.findall(r"acl act path_reg (\S+)", text)

    assert any(re.search(rule, path) for rule in looks) is watch
    assert any(re.search(rule, path) for rule in acts) is (operate and grade is Grade.OPERATE)


@pytest.mark.parametrize("transport", ["ssh", "tls", "tcp", "local"])
@pytest.mark.parametrize("grade", [Grade.WATCH, Grade.OPERATE, Grade.EVERYTHING])
def test_every_way_has_a_recipe_for_every_grade(grade: Grade, transport: str) -> None:
    kit = kit_for(grade, HostFacts("ssm", transport=transport))

    assert kit.unlocks
    for recipe in kit.recipes:
        assert recipe.pieces
        assert recipe.device
