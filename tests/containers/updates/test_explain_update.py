"""manage.py explain_update: tags and cases without any service, containers with their rows."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.factories import ContainerFactory, DeviceFactory
from tests.vectors import vectors

PROJECT = Path(__file__).resolve().parents[3]


def run(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """The command as people start it, in an environment in which nothing is set or reachable."""
    environment = {"PATH": os.environ["PATH"], "SSM_DATA_DIR": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "manage.py", "explain_update", *arguments],
        cwd=PROJECT,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_explain_update_cases_print_one_object_a_line(tmp_path: Path) -> None:
    cases = [{key: case[key] for key in ("id", "kind", "input")} for case in vectors("candidate") + vectors("label")]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases))

    done = run("--cases", str(path))

    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    expected = {case["id"]: case["expect"] for case in vectors("candidate") + vectors("label")}
    assert [answer["id"] for answer in answers] == [case["id"] for case in cases]
    for answer in answers:
        expect = expected[answer["id"]]
        assert {key: answer["got"].get(key) for key in expect} == expect


def test_explain_update_tag_list_prints_what_each_rule_dropped() -> None:
    done = run("--current", "1.27.3", "--exclude", "rc", given="1.27.3\n1.27.4\n1.28.0-alpine 1.29.0-rc1\nlatest\n")

    assert done.returncode == 0, done.stderr
    assert "another variant" in done.stdout and "1.28.0-alpine" in done.stdout
    assert "matched by wud.tag.exclude" in done.stdout
    assert done.stdout.endswith("update: 1.27.4 (patch)\n")


@pytest.mark.parametrize("content", ["{", '{"a": 1}', '[{"kind": "none", "input": {}}]', "[5]"])
def test_explain_update_cases_that_are_wrong_fail_with_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(content)

    with pytest.raises(CommandError):
        call_command("explain_update", "--cases", str(path), stdout=io.StringIO())


def test_explain_update_file_that_is_missing_fails_with_a_sentence() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("explain_update", "--cases", "/nonexistent")


@pytest.mark.django_db(transaction=True)
def test_explain_update_container_prints_the_steps() -> None:
    container = ContainerFactory(name="web", labels={"wud.watch": "false"}, device=DeviceFactory(name="one"))
    ContainerFactory(name="web", device=DeviceFactory(name="two"))
    out = io.StringIO()

    call_command("explain_update", "web", "--device", "one", stdout=out)
    call_command("explain_update", str(container.pk), stdout=out)

    assert out.getvalue().count("not watched") == 2
    assert "the label wud.watch says so" in out.getvalue()
    with pytest.raises(CommandError, match="Several containers"):
        call_command("explain_update", "web")
    with pytest.raises(CommandError, match="No container"):
        call_command("explain_update", "nobody")
