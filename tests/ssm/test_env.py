"""Typed readers of environment variables: what they take, and the sentence that they refuse with."""

import base64

import pytest

from ssm.lib.env import (
    ConfigurationError,
    env_bool,
    env_database,
    env_fernet_keys,
    env_int,
    env_list,
    env_port,
    env_redis_url,
    env_secret,
    env_str,
)

NAME = "SSM_TEST_VALUE"
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


@pytest.mark.parametrize("blank", [None, "", "   "], ids=["unset", "empty", "blanks"])
def test_env_str_without_value_takes_default(monkeypatch, blank):
    if blank is not None:
        monkeypatch.setenv(NAME, blank)

    assert env_str(NAME, "fallback") == "fallback"


def test_env_str_without_value_and_default_names_variable_and_example():
    with pytest.raises(ConfigurationError) as caught:
        env_str(NAME, example="blue")

    assert str(caught.value) == f"{NAME} is not set. Set it like this: {NAME}=blue"


@pytest.mark.parametrize("text", ["1", "true", "YES", "On"])
def test_env_bool_true_words(monkeypatch, text):
    monkeypatch.setenv(NAME, text)

    assert env_bool(NAME, False) is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF"])
def test_env_bool_false_words(monkeypatch, text):
    monkeypatch.setenv(NAME, text)

    assert env_bool(NAME, True) is False


def test_env_bool_other_word_is_refused(monkeypatch):
    monkeypatch.setenv(NAME, "maybe")

    with pytest.raises(ConfigurationError, match="must be true or false, not 'maybe'"):
        env_bool(NAME, False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ten", "must be a whole number, not 'ten'"),
        ("1.5", "must be a whole number, not '1.5'"),
        ("1", "must be at least 2, not 1"),
        ("9", "must be at most 8, not 9"),
    ],
)
def test_env_int_out_of_range_is_refused(monkeypatch, text, problem):
    monkeypatch.setenv(NAME, text)

    with pytest.raises(ConfigurationError, match=problem):
        env_int(NAME, 5, minimum=2, maximum=8)


@pytest.mark.parametrize("number", [2, 8])
def test_env_int_borders_are_inside(monkeypatch, number):
    monkeypatch.setenv(NAME, str(number))

    assert env_int(NAME, 5, minimum=2, maximum=8) == number


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_env_port_outside_of_tcp_is_refused(monkeypatch, text):
    monkeypatch.setenv(NAME, text)

    with pytest.raises(ConfigurationError, match=NAME):
        env_port(NAME, 8000)


@pytest.mark.parametrize(
    ("text", "items"), [("a, b ,c", ["a", "b", "c"]), (",,a,", ["a"]), (",", [])], ids=["blanks", "gaps", "none"]
)
def test_env_list_drops_blanks_and_gaps(monkeypatch, text, items):
    monkeypatch.setenv(NAME, text)

    assert env_list(NAME, ["default"]) == items


def test_env_secret_reads_file_without_trailing_newline(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text(" pass word \n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))

    assert env_secret(NAME) == " pass word "


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b"", "which is empty"),
        (b"\n", "which is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a" * 70_000, "larger than 64 KiB"),
    ],
    ids=["missing", "empty", "newline", "binary", "huge"],
)
def test_env_secret_bad_file_is_refused_by_name(monkeypatch, tmp_path, content, problem):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(path))

    with pytest.raises(ConfigurationError, match=problem) as caught:
        env_secret(NAME)

    assert str(path) in str(caught.value)


def test_env_secret_given_twice_is_refused_without_showing_it(monkeypatch, tmp_path):
    monkeypatch.setenv(NAME, "hunter2")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))

    with pytest.raises(ConfigurationError, match="both set") as caught:
        env_secret(NAME)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://u:hunter2@h/db", "must start with postgres:// or postgresql://"),
        ("postgres://u:hunter2@h:port/db", "not a valid URL"),
        ("postgres://u:hunter2@h:99999/db", "not a valid URL"),
        ("postgres://u:hunter2@[::1/db", "not a valid URL"),
        ("postgres://u:hunter2@/db", "names no host"),
        ("postgres://u:hunter2@h/", "names no database"),
        ("hunter2", "must start with"),
    ],
)
def test_env_database_bad_url_is_refused_without_showing_it(monkeypatch, url, problem):
    monkeypatch.setenv(NAME, url)

    with pytest.raises(ConfigurationError, match=problem) as caught:
        env_database(NAME)

    assert "hunter2" not in str(caught.value)


def test_env_database_becomes_django_settings(monkeypatch):
    monkeypatch.setenv(NAME, "postgres://user:p%40ss@host:5433/name")

    database = env_database(NAME)

    assert (database["ENGINE"], database["NAME"], database["USER"]) == ("django.db.backends.postgresql", "name", "user")
    assert (database["PASSWORD"], database["HOST"], database["PORT"]) == ("p@ss", "host", 5433)


def test_env_database_socket_directory_becomes_option(monkeypatch):
    monkeypatch.setenv(NAME, "postgres://user:pw@/name?host=/run/postgresql")

    assert env_database(NAME)["OPTIONS"] == {"host": "/run/postgresql"}


@pytest.mark.parametrize("url", ["redis://:pw@127.0.0.1:6379/0", "rediss://host", "redis://[::1]:6379/3"])
def test_env_redis_url_is_taken_as_written(monkeypatch, url):
    monkeypatch.setenv(NAME, url)

    assert env_redis_url(NAME) == url


@pytest.mark.parametrize("url", ["http://host", "redis://", "redis://host/queue", "unix:///run/redis.sock"])
def test_env_redis_url_of_other_kinds_is_refused(monkeypatch, url):
    monkeypatch.setenv(NAME, url)

    with pytest.raises(ConfigurationError, match=NAME):
        env_redis_url(NAME)


def test_env_fernet_keys_keep_their_order(monkeypatch):
    other = base64.urlsafe_b64encode(bytes(32)).decode()
    monkeypatch.setenv(NAME, f"{KEY}, {other}")

    assert env_fernet_keys(NAME) == [KEY, other]


@pytest.mark.parametrize(
    ("text", "position"), [("short", 1), (f"{KEY},{KEY[:-4]}", 2), (f"{KEY},ä", 2)], ids=["word", "cut", "umlaut"]
)
def test_env_fernet_keys_bad_key_is_told_by_position(monkeypatch, text, position):
    monkeypatch.setenv(NAME, text)

    with pytest.raises(ConfigurationError, match=f"no valid key at position {position}") as caught:
        env_fernet_keys(NAME)

    assert text not in str(caught.value)
