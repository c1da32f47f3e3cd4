"""Rows whose every text is an attack: markup, handlers, links, escape sequences, turned directions, endless words."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.db import models

from containers.models import Container, Image, Network, Operation, UpdatePolicy, UpdateStatus, Volume
from containers.rules.links import safe_url
from devices.models import Device, Jump, now
from registries.models import Origin, Registry, RepositoryKnowledge
from ssm.accounts.models import ApiToken, AuditEntry, OpenSession
from ssm.lib.fields import EncryptedTextField
from tests.factories import BackupPlanFactory, ContainerFactory, ImageFactory
from tests.ssm.test_routes import make_objects

# What it would leave in the document if it were read as markup.
MARK: Final = "data-pwned"
_ATTACKS: Final = (
    f"\"'><img src=//evil.example/x {MARK} onerror=alert(1)>",
    f"'\"><svg {MARK} onload=alert(1)>",
    f"</script></title></textarea><script {MARK}>alert(1)</script>",
    f"\" {MARK}=1 autofocus onfocus=alert(1) x=\"' {MARK}=1 onfocus=alert(1) x='",
    f"<base {MARK} href=//evil.example/><meta {MARK} http-equiv=refresh content='0;url=//evil.example/'>",
    f"<b {MARK} hx-get=//evil.example/ hx-trigger=load hx-vals='js:alert(1)'>",
    f"<style {MARK}>@import '//evil.example/x'</style><iframe {MARK} srcdoc='<script>alert(1)</script>'>",
    f"javascript:alert(1)//<a {MARK} href=javascript:alert(1)>",
    f"{{{{7*7}}}}${{alert(1)}}<template {MARK}>",
)
# Of a terminal: colours, a title, a link; of Unicode: turned around, without width, stacked, of many units.
_ODD: Final = (
    "\x1b[31mred\x1b]0;title\x07\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u2066\u2069\u200f",
    "\u200b\u2060\ufeff\xad\U000e0041",
    "Z\u0351\u0343\u0302\u0310\u0346\u0310\u0308\u0301" * 3,
    "𝕴\U0001f468\u200d\U0001f469\u200d\U0001f467漢字",
    "line\r\nbreak\ttab\x85\u2028",
)
# As `safe_url` stores them: what is no http address never gets that far (tests of containers.rules.links).
_URL: Final = safe_url(f"https://evil.example/\"'><img {MARK} src=x onerror=alert(1)>")
# What is ours and never a stranger's: words that code asks for, digests, ids that reading refuses in any other form.
OURS: Final = frozenset(
    {
        "accounts.ApiToken.digest",
        "accounts.ApiToken.prefix",
        "accounts.ApiToken.rights",
        "containers.Backup.consistency",
        "containers.Backup.file_name",
        "containers.BackupPlan.schedule",
        "containers.Batch.title",
        "containers.Container.engine_id",
        "containers.Event.kind",
        "containers.Network.engine_id",
        "containers.Operation.lock",
        "containers.Replacement.kind",
        "containers.UpdateStatus.change",
        "containers.UpdateStatus.notes",
        "containers.UpdateStatus.reason",
        "devices.HostKey.fingerprint",
        "devices.ShownKey.fingerprint",
        "devices.HostKeyRule.fingerprint",
        "devices.Device.access_abilities",
        "devices.Device.access_grade",
        "devices.Device.channel_kind",
        "devices.Device.sweep_schedule",
        "devices.Device.statistics_schedule",
        "devices.Device.update_schedule",
        "registries.Registry.kind",
        "registries.Registry.provider",
        "registries.Registry.poll_schedule",
        "auth.User.password",
    }
)
_counter = itertools.count()


def hostile(limit: int = 600) -> str:
    """Another attack each time, in a single endless word where there is room, of ``limit`` characters at most."""
    number = next(_counter)
    fitting = [attack for attack in _ATTACKS if len(attack) + 8 <= limit] or [f"\"'><b {MARK}>"]
    text = fitting[number % len(fitting)]
    # First what makes it unlike all others: columns are unique here and there.
    text = f"{number:x}{text}"
    odd = _ODD[number % len(_ODD)]
    if len(text) + len(odd) < limit:
        text += odd
    return (text + "W" * 255)[: min(limit, 600)]


def plant() -> tuple[dict[str, Any], User]:
    """Make something of every kind, with attacks in all texts. The ids of the routes' table, and who may see all."""
    ids = make_objects()
    user = User.objects.get(pk=ids["user"])
    User.objects.filter(pk=user.pk).update(is_superuser=True, is_staff=True)
    _enrich(ids)
    _make_the_rest(ids, user)
    for model in apps.get_models():
        if model._meta.app_label in (
            "accounts",
            "containers",
            "devices",
            "registries",
            "auth",
        ) and model.__name__ not in (
            "AuditEntry",
            "Permission",
        ):
            _spoil(model)
    Container.objects.filter(pk=ids["container"]).update(compose_project=hostile(200))
    return ids, User.objects.get(pk=user.pk)


def _enrich(ids: dict[str, Any]) -> None:
    """Give rows of factories what hosts tell: every list and mapping has entries."""
    network, volume = Network.objects.get(pk=ids["network"]), Volume.objects.get(pk=ids["volume"])
    container = Container.objects.get(pk=ids["container"])
    attachment = {"name": "x", "network_id": network.engine_id, "address": "10.1.2.3", "address6": "x", "mac": "x"}
    port = {"container_port": 80, "protocol": "x", "host_ip": "x", "host_port": 8080}
    state = {"Status": "x", "Error": "x", "Health": {"Status": "x", "Log": [{"Output": "x", "ExitCode": 1}]}}
    configured = {
        "Image": "x",
        "Cmd": ["x", "x"],
        "Entrypoint": ["x"],
        "Labels": {"x": "x"},
        "User": "x",
        "Env": ["x=x"],
    }
    Container.objects.update(
        labels={"x": "x", "team": "x"},
        ports=[port, port | {"host_port": None}],
        port_claims=[port | {"host_range": ""}],
        mounts=[
            {"kind": "volume", "source": "x", "destination": "x", "read_only": True},
            {"kind": "bind", "source": "x", "destination": "x", "read_only": False},
        ],
        networks=[attachment | {"aliases": ["x", "x"], "fixed": "x", "fixed6": "x"}],
        label_warnings=[{"label": "x", "value": "x", "text": "x"}],
        environment=json.dumps([["x", "x"], ["y", "x"]]),
        inspect={"Name": "x", "State": state, "Config": configured, "HostConfig": {"Binds": ["x:x"], "CapAdd": ["x"]}},
        state="exited",
        exit_code=1,
    )
    ContainerFactory(device=container.device, name="second", compose_project="x", labels={"x": "x"})
    Network.objects.update(
        pools=[{"subnet": "x", "gateway": "x", "ip_range": "x", "auxiliary": {"x": "x"}}],
        options={"x": "x"},
        labels={"x": "x"},
        ipam_options={"x": "x"},
    )
    Volume.objects.update(labels={"x": "x"}, options={"x": "x"}, size_bytes=1)
    step = {"created_by": "/bin/sh -c x", "created": "", "size_bytes": 1, "comment": "x"}
    config = {"labels": {"x": "x"}, "env": ["x=x"], "cmd": ["x"], "entrypoint": ["x"], "ports": ["x"], "volumes": ["x"]}
    Image.objects.update(
        labels={"x": "x"}, config=config, history=[step, step], layers=[["0" * 16, 1]], repo_digests=["x@sha256:0"]
    )
    ImageFactory(device=container.device)
    Operation.objects.update(
        parameters={"x": "x"},
        output="x",
        parts=[{"id": "x", "text": "x", "current": 1, "total": 2}],
        finished_at=now(),
        outcome="x",
    )
    assert volume.device_id == container.device_id


def _make_the_rest(ids: dict[str, Any], user: User) -> None:
    """Rows that the table of routes needs none of."""
    device = Device.objects.get(pk=ids["device"])
    container = Container.objects.get(pk=ids["container"])
    Device.objects.update(
        state="unreachable",
        state_code="timed_out",
        last_sweep_error="x",
        last_statistics_error="x",
        access_checked_at=now(),
    )
    Jump.objects.create(device=device, position=0, address="x", credential=device.credential)
    UpdateStatus.objects.create(
        container=container,
        state="update_available",
        change="minor",
        severity=2,
        trace=[{"rule": "x", "outcome": "kept", "text": "x", "count": 1, "examples": ["x"]}],
        good={"x": "x"},
    )
    UpdatePolicy.objects.create(kind="ignore", container=container, ignored="x", created_by_name="x")
    BackupPlanFactory(device=device, last_error="x")
    registry = Registry.objects.get(pk=ids["registry"])
    Registry.objects.update(tested_at=now(), test_passed=False)
    Origin.objects.create(
        host=registry.host, account=registry, failing_since=now(), last_error_code="x", last_error_message="x"
    )
    RepositoryKnowledge.objects.update(
        tag_dates={"1.0": now().isoformat()}, last_error_message="x", failing_since=now()
    )
    session = Session.objects.create(session_key="k" * 32, session_data="", expire_date=now().replace(year=2100))
    OpenSession.objects.create(session=session, user=user, user_agent="x", address="::1")
    ApiToken.objects.update(device_groups=["x"], labels=["x"])
    for action in ("device.change", "user.log-in"):
        AuditEntry.objects.create(
            user_name=hostile(150),
            door="page",
            token_name=hostile(100),
            address="::1",
            user_agent=hostile(255),
            action=action,
            object_kind=hostile(60),
            object_name=hostile(255),
            before={hostile(60): hostile()},
            after={hostile(60): hostile()},
            outcome=hostile(255),
        )


def _spoil(model: type[models.Model]) -> None:
    """Put an attack into each text of each row, without asking the model: hosts do not either."""
    rows: Any = model._base_manager
    fields = list(_texts(model))
    for row in rows.all():
        rows.filter(pk=row.pk).update(**{field.name: make(getattr(row, field.name)) for field, make in fields})


def _texts(model: type[models.Model]) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """Columns that hold texts of strangers, each with what makes an attack of its value."""
    for field in model._meta.local_concrete_fields:
        if f"{model._meta.label}.{field.name}" in OURS or field.primary_key or field.choices:
            continue
        if isinstance(field, EncryptedTextField):
            if field.name == "environment":
                yield field, lambda value: json.dumps(_spoilt(json.loads(value)))
        elif isinstance(field, models.URLField):
            yield field, lambda _value: _URL
        elif isinstance(field, models.CharField | models.TextField) and "_at" not in field.name:
            yield field, lambda _value, limit=field.max_length or 600: hostile(limit)
        elif isinstance(field, models.JSONField):
            yield field, _spoilt
        elif isinstance(field, ArrayField) and isinstance(field.base_field, models.CharField):
            yield (
                field,
                lambda value, limit=field.base_field.max_length or 600: [hostile(limit) for _ in value or ["x"]],
            )


def _spoilt(value: Any) -> Any:
    """The same shape; texts, and names that are texts of strangers ("x"), become attacks."""
    if isinstance(value, dict):
        return {hostile(200) if name == "x" else name: _spoilt(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_spoilt(item) for item in value]
    return hostile() if isinstance(value, str) and not _is_id(value) else value


def _is_id(text: str) -> bool:
    try:
        UUID(text[:32])
    except ValueError:
        return text in ("volume", "bind", "kept", "") or text.startswith("20")
    return True
