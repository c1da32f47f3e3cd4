"""Secrets stay where they belong: marked ones are planted in every secret field, everything is used, and then they
are looked for in all that leaves or outlives a process."""

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection, models
from django.test import Client
from django.urls import reverse
from psycopg import sql

from containers import execution
from containers.models import Container, Operation
from containers.operation_requests import request_device_operation
from devices.connections import pool
from devices.errors import DeviceError
from devices.models import Device
from devices.services import connection_target
from ssm.lib.fields import EncryptedTextField
from tests.api.caller import BASE, token_of
from tests.containers.stage import MakeStage, eventually
from tests.people import People
from tests.queued import Queued, take_queued
from tests.ssm.test_routes import ROUTES, make_objects

pytestmark = pytest.mark.django_db(transaction=True)

# A secret for each secret field, and how it stands in the field. A new field that is not here fails the test.
MARK = "mArKeD"


def mark(name: str) -> str:
    """A text that is found wherever it gets to, also inside of others."""
    return f"{MARK}-{name.replace('.', '-')}"


PLANTED: dict[str, Callable[[str], str]] = {
    "accounts.AuthenticatorApp.key": lambda text: text,
    "containers.Container.environment": lambda text: json.dumps([["TOKEN", text]]),
    "containers.Operation.sealed": lambda text: json.dumps({"environment": {"TOKEN": text}}),
    "containers.Replacement.specification": lambda text: json.dumps({"config": {"Env": [f"TOKEN={text}"]}}),
    "devices.Credential.private_key": lambda text: text,
    "devices.Credential.passphrase": lambda text: text,
    "devices.Credential.password": lambda text: text,
    "devices.CredentialAnswer.answer": lambda text: text,
    "devices.TlsIdentity.ca_pem": lambda text: text,
    "devices.TlsIdentity.certificate_pem": lambda text: text,
    "devices.TlsIdentity.private_key": lambda text: text,
    "registries.Registry.secrets": lambda text: json.dumps({"password": text}),
    "registries.Registry.client_key": lambda text: text,
}
# Those with the right to see values of environment variables see them, where they ask for them.
_ENVIRONMENT = mark("containers.Container.environment")


def secret_fields() -> Iterator[tuple[str, type[models.Model], str]]:
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField):
                yield f"{model._meta.label}.{field.name}", model, field.name


def test_every_secret_field_is_planted() -> None:
    assert {label for label, _model, _name in secret_fields()} == set(PLANTED)


@pytest.fixture
def ids() -> dict[str, Any]:
    """Something of every kind that pages show."""
    return make_objects()


@pytest.fixture
def planted(ids: dict[str, Any], people: People) -> None:
    """A marked secret in every row of every table with secret fields; each table has one at least."""
    device = Device.objects.get(pk=ids["device"])
    _make_the_rest(device, people.administrator)
    for label, model, name in secret_fields():
        rows: Any = model._base_manager.all()
        assert rows.exists(), f"no row of {label}: make one"
        rows.update(**{name: PLANTED[label](mark(label))})


def _make_the_rest(device: Device, user: User) -> None:
    """Rows that the factories of pages do not make."""
    credential = device.credential
    assert credential is not None
    credential.answers.create(prompt="*code*", answer="x")
    apps.get_model("accounts", "AuthenticatorApp")._base_manager.create(
        user=user, name="app", key="00", confirmed=False
    )


def assert_clean(text: str | bytes, where: str, *, but: str = "") -> None:
    """Fail where a planted secret is in it, naming the place and never more than the mark."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text.replace(but, "") if but else text
    at = text.find(MARK)
    assert at < 0, f"{where}: …{text[max(at - 60, 0) : at + 60]}…"


@pytest.mark.parametrize("who", ["administrator", "operator", "viewer"])
def test_no_page_shows_a_secret(who: str, people: People, ids: dict[str, Any], planted: None) -> None:
    client = people.client(who)
    for route in ROUTES:
        if who not in route.allowed:
            continue
        url = reverse(route.name, args=[ids[name] for name in route.takes.split()])
        response = client.get(url) if route.method == "GET" else client.post(url, route.data)
        body = b"".join(response) if response.streaming and not response.is_async else getattr(response, "content", b"")
        may_see = who == "administrator" and route.name.startswith("containers:")
        assert_clean(body, str(route), but=_ENVIRONMENT if may_see else "")
        assert_clean(str(response.headers), f"headers of {route}")


def test_no_page_of_the_admin_shows_a_secret(people: People, ids: dict[str, Any], planted: None) -> None:
    client = people.client("administrator")
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._base_manager.first()
        urls = [reverse(f"{base}_changelist")]
        if row is not None:
            urls += [reverse(f"{base}_{page}", args=[row.pk]) for page in ("change", "history", "delete")]
        for url in urls:
            assert_clean(client.get(url).content, url)


def test_no_answer_of_the_api_tells_a_secret(people: People, ids: dict[str, Any], planted: None) -> None:
    token = token_of(people.operator)
    for path in ("/containers", f"/containers/{ids['container']}", "/operations", f"/operations/{ids['operation']}"):
        response = Client().get(BASE + path, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200
        assert_clean(response.content, path)
        assert token not in response.content.decode()


def test_database_holds_no_secret_in_the_clear(ids: dict[str, Any], planted: None) -> None:
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(table))
            with cursor.cursor.copy(statement) as copied:
                assert_clean(b"".join(bytes(piece) for piece in copied), f"table {table}")


class _Watch:
    """What goes through Redis and stands in process lists while something is done."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._ended = threading.Event()
        self._client = redis.Redis.from_url(settings.REDIS_URL)
        self._threads = [threading.Thread(target=each) for each in (self._messages, self._processes)]

    def __enter__(self) -> "_Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for key in self._client.scan_iter():
            self.seen.append((f"Redis key {key!r}", key + (self._client.dump(key) or b"")))
        self._client.close()

    def _messages(self) -> None:
        with self._client.pubsub() as subscription:
            subscription.psubscribe("*")
            while not self._ended.is_set():
                message = subscription.get_message(timeout=0.2)
                if message is not None:
                    self.seen.append(("a message in Redis", repr(message).encode()))

    def _processes(self) -> None:
        while not self._ended.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        content = (process / name).read_bytes()
                    except OSError:
                        continue  # it has ended
                    if MARK.encode() in content:
                        self.seen.append((f"{name} of a process", content))
            time.sleep(0.02)


@pytest.mark.fleet
def test_use_of_secrets_leaves_none_behind(
    make_stage: MakeStage, people: People, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="")
    stage = make_stage("28")
    login = stage.device.credential
    assert login is not None
    wrong = mark("a password that is refused")
    refused = Device.objects.create(
        name="refuses", address=stage.device.address, port=stage.device.port, credential=_with_password(login, wrong)
    )
    key = stage.device.host_keys.get()
    refused.host_keys.create(key_type=key.key_type, key_base64=key.key_base64, fingerprint=key.fingerprint)
    secret = mark("in an environment")
    take_queued()
    with _Watch() as watch:
        with pytest.raises(DeviceError) as error:
            pool.engine(connection_target(refused))
        stage.sweep()
        sent = _create_sealed(stage.device, people.operator, secret)
    for queued in sent:
        assert_clean(repr(queued), "a task's arguments")
    for where, content in watch.seen:
        assert_clean(content, where)
    assert_clean(f"{error.value} {error.value.details} {error.value!r}", "the error")
    assert_clean("\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records), "the log")
    captured = capfd.readouterr()
    assert_clean(captured.out + captured.err, "the output")
    private_key = login.private_key.splitlines()[1]
    assert private_key not in caplog.text + captured.err


def _with_password(login: Any, password: str) -> Any:
    return type(login).objects.create(name="refused", username=login.username, password=password)


def _create_sealed(device: Device, user: User, secret: str) -> list[Queued]:
    """Ask for a container that cannot be made (no such image) with a secret in its environment, and work it off."""
    operation = request_device_operation(
        user,
        device,
        Operation.Kind.CREATE,
        object_kind="container",
        target_name="never-made",
        sealed={
            "changes": {
                "name": "never-made",
                "image": "127.0.0.1:9/none:1",
                "env": {"drop": [], "set": {"TOKEN": secret}},
            }
        },
    )
    sent = take_queued()
    execution.run(str(operation.pk))
    operation.refresh_from_db()
    assert operation.state == Operation.State.FAILED
    assert_clean(f"{operation.error_message} {operation.output} {operation.journal}", "the operation")
    assert not Container.objects.filter(name="never-made").exists()
    return sent


def test_watch_sees_a_secret_in_a_process_list() -> None:
    """Proof that one would be found."""
    with _Watch() as watch, subprocess.Popen(["/bin/sleep", "60"], env={"SECRET": mark("seen")}) as process:
        eventually(lambda: any(where == "environ of a process" for where, _content in watch.seen), timeout_s=60)
        process.kill()
