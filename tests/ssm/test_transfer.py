"""Devices and registries as files: out without secrets, in by a preview, with a result for each entry."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devices.models import Credential, Device, DeviceGroup, HostKey, Jump
from registries.models import Registry
from ssm.accounts.models import AuditEntry
from ssm.lib import transfer
from ssm.lib.roles import Right
from ssm.lib.transfer import TransferFault, read, write
from tests.accounts.people import make_role, make_user
from tests.factories import CredentialFactory, DeviceFactory, HostKeyFactory, RegistryFactory
from tests.people import People

pytestmark = pytest.mark.django_db
SECRET = "mArKeD-secret"


def fleet() -> Device:
    """Two devices, one behind the other, with all that belongs to them."""
    login = CredentialFactory(name="ops", username="op", password=SECRET, private_key="", use_sudo=True)
    DeviceGroup.objects.create(name="lab", credential=login)
    gate = DeviceFactory(name="gate", address="10.0.0.1", credential=login)
    inner = DeviceFactory(
        name="inner", address="10.0.0.2", port=2222, credential=None, groups=["lab"], sweep_schedule="7 * * * *"
    )
    Jump.objects.create(device=inner, position=0, via=gate)
    Jump.objects.create(device=inner, position=1, address="10.0.0.9", port=22, credential=login)
    HostKeyFactory(device=inner)
    return inner


def forget_devices() -> None:
    Jump.objects.all().delete()
    Device.objects.all().delete()


def export(people: People, what: str, form: str = "yaml") -> str:
    page = people.client("administrator").get(reverse(f"{what}:export"), {"format": form})
    assert page.status_code == 200
    assert page["Content-Disposition"].startswith(f'attachment; filename="ssm-{what}-')
    return page.content.decode()


def post(people: People, what: str, text: str, **further: Any) -> Any:
    return people.client("administrator").post(reverse(f"{what}:transfer"), {"text": text, **further})


def take(people: People, what: str, text: str, **further: Any) -> Any:
    """Choose all that the preview lets one choose."""
    preview = post(people, what, text)
    assert preview.status_code == 200, preview.content.decode()
    entries = [one.key for one in preview.context["planned"] if one.may_be_taken]
    return post(people, what, text, step="apply", entry=entries, **further)


def outcomes(response: Any) -> dict[str, str]:
    return {f"{one.kind} {one.name}": one.outcome for one in response.context["results"]}


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_devices_go_out_and_come_in_again_as_they_were(form: str, people: People) -> None:
    fleet()
    text = export(people, "devices", form)
    assert SECRET not in text
    forget_devices()
    DeviceGroup.objects.all().delete()
    Credential.objects.all().delete()

    response = take(people, "devices", text, trust_keys="1")

    assert set(outcomes(response).values()) == {"added"}
    inner = Device.objects.get(name="inner")
    assert (inner.address, inner.port, inner.groups, inner.sweep_schedule) == ("10.0.0.2", 2222, ["lab"], "7 * * * *")
    assert [(jump.via and jump.via.name, jump.address) for jump in inner.jumps.all()] == [
        ("gate", ""),
        (None, "10.0.0.9"),
    ]
    assert inner.host_keys.get().accepted_by == people.administrator
    assert inner.next_sweep_at is not None
    login = Credential.objects.get()
    assert (login.username, login.use_sudo, login.password) == ("op", True, "")
    assert DeviceGroup.objects.get().credential == login
    assert AuditEntry.objects.filter(action="device.add", after__imported=True).count() == 2
    drop = {"exported_at": None}
    assert {**yaml.safe_load(export(people, "devices")), **drop} == {**yaml.safe_load(text), **drop}


def test_what_is_the_same_is_left_alone_and_what_differs_is_shown_first(people: People) -> None:
    inner = fleet()
    text = export(people, "devices")
    assert {one.state for one in post(people, "devices", text).context["planned"]} == {"same"}
    told = yaml.safe_load(text)
    told["devices"][1] |= {"port": 22, "jumps": [{"device": "gate"}], "login": "ops"}

    preview = post(people, "devices", yaml.safe_dump(told))

    [changed] = [one for one in preview.context["planned"] if one.state == "changed"]
    assert {(change.name, change.before, change.after) for change in changed.changes} == {
        ("port", "2222", "22"),
        ("login", "–", "ops"),
        ("jumps", "gate, 10.0.0.9:22", "gate"),
    }
    inner.refresh_from_db()
    assert inner.port == 2222, "a preview changes nothing"
    unchosen = post(people, "devices", yaml.safe_dump(told), step="apply")
    assert set(outcomes(unchosen).values()) == {"kept"}
    response = take(people, "devices", yaml.safe_dump(told))
    assert outcomes(response)["device inner"] == "updated"
    inner.refresh_from_db()
    assert (inner.port, inner.jumps.count()) == (22, 1)
    assert inner.credential is not None
    entry = AuditEntry.objects.filter(action="device.change").order_by("pk").first()
    assert entry is not None
    assert (entry.before["port"], entry.after["port"]) == (2222, 22)


def test_host_keys_of_a_file_are_trusted_only_where_that_was_asked_for(people: People) -> None:
    fleet()
    text = export(people, "devices")
    forget_devices()

    take(people, "devices", text)

    assert not HostKey.objects.exists()


def test_stored_secrets_stay(people: People) -> None:
    fleet()
    told = yaml.safe_load(export(people, "devices"))
    told["logins"][0] |= {"username": "another", "password": "typed"}

    preview = post(people, "devices", yaml.safe_dump(told))
    take(people, "devices", yaml.safe_dump(told))

    assert preview.context["planned"][0].state == "same"
    login = Credential.objects.get()
    assert (login.username, login.password) == ("op", SECRET)


GOOD = {"name": "web", "address": "10.0.0.5"}


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"address": "a b"}, ""),
        ({"port": 0}, "port"),
        ({"port": "22"}, "number"),
        ({"port": True}, "number"),
        ({"watch_enabled": "yes"}, "true or false"),
        ({"groups": "lab"}, "list"),
        ({"groups": ["a,b"]}, "commas"),
        ({"login": "nobody"}, "no log-in"),
        ({"jumps": [{"device": "web"}]}, "no other device"),
        ({"jumps": [{"address": "-oProxyCommand=x"}]}, ""),
        ({"jumps": ["x"]}, "list"),
        ({"host_keys": ["ssh-rsa !!"]}, "host key"),
        ({"sweep_schedule": "61 * * * *"}, ""),
        ({"transport": "carrier pigeon"}, "transport"),
        ({"become_user": "-u root"}, ""),
        ({"proxy_kind": "socks5"}, "address"),
        ({"name": "x" * 101}, "100"),
        ({"name": "a\nb"}, "shown"),
        ({"docker_socket": None}, "no value"),
        ({"connect_timeout_s": 9999}, "connect_timeout_s"),
    ],
    ids=str,
)
def test_entry_that_cannot_be_taken_over_says_why_and_stops_no_other(
    odd: dict[str, Any], why: str, people: People
) -> None:
    told = {"ssm": "devices", "version": 1, "devices": [{**GOOD, **odd}, {"name": "db", "address": "10.0.0.6"}]}

    response = take(people, "devices", json.dumps(told))

    faulty, fine = response.context["results"]
    assert (faulty.outcome, fine.outcome) == ("failed", "added")
    assert why in faulty.message
    assert [device.name for device in Device.objects.all()] == ["db"]


def test_two_entries_of_one_name_are_one_and_a_fault(people: People) -> None:
    told = {"ssm": "devices", "version": 1, "devices": [GOOD, {**GOOD, "name": "WEB"}]}

    assert sorted(one.state for one in post(people, "devices", json.dumps(told)).context["planned"]) == [
        "faulty",
        "new",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Choose a file"),
        ("[]", "export of SSM"),
        ("a: 1", "export of SSM"),
        ("{", "line 1"),
        ("ssm: [", "YAML"),
        ("ssm: registries\nversion: 1", "not of devices"),
        ("ssm: devices\nversion: 99", "Another version"),
        ("ssm: devices\nversion: 1\ndevices: 5", "list"),
        ("ssm: devices\nversion: 1\ndevices: [{}]", "no name"),
        ("ssm: devices\nversion: 1\nx: &a [1]\ny: *a", "aliases"),
        ("ssm: devices\nversion: 1\nx: !!python/object/apply:os.system [ls]", "YAML"),
        ("ssm: devices\nx: " + "[" * 40 + "]" * 40, "nested"),
        ('{"ssm": ' + "[" * 300 + "]" * 300 + "}", "nested"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_text_that_is_no_export_is_told_at_its_field(text: str, why: str, people: People) -> None:
    response = post(people, "devices", text)

    assert response.status_code == 422
    assert why in " ".join(response.context["form"].errors["text"])


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: "ssm: " + raw.decode("latin-1"))))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        assert isinstance(read(text, "devices"), dict)
    except TransferFault as exc:
        assert str(exc)


def test_what_is_written_is_read_again() -> None:
    told = {"ssm": "devices", "version": transfer.VERSION, "devices": [{"name": "ä: - #", "groups": ["no", "1"]}]}

    for form in transfer.FORMATS:
        assert read(write(told, form), "devices") == told


def test_limited_manager_exports_his_own_and_imports_nothing(people: People) -> None:
    fleet()
    manager = make_user("limited", make_role("limited", {Right.SEE, Right.MANAGE_DEVICES}, device_groups=["lab"]))
    client = Client()
    client.force_login(manager)

    told = yaml.safe_load(client.get(reverse("devices:export")).content)
    response = client.post(
        reverse("devices:transfer"), {"text": json.dumps({"ssm": "devices", "version": 1, "devices": [GOOD]})}
    )

    assert [one["name"] for one in told["devices"]] == ["inner"]
    assert response.status_code == 422
    assert Device.objects.count() == 2


# ---- registries


def test_registries_go_out_without_secrets_and_come_in_switched_off_where_they_need_some(people: People) -> None:
    RegistryFactory(name="mine", with_login=True)
    RegistryFactory(name="open", host="open.example.com", provider="custom")
    Registry.objects.filter(name="mine").update(secrets=json.dumps({"password": SECRET}))
    text = export(people, "registries")
    assert SECRET not in text
    before = {row.name: (row.host, row.provider, row.kind, row.public_values) for row in Registry.objects.all()}
    Registry.objects.all().delete()

    response = take(people, "registries", text)

    assert set(outcomes(response).values()) == {"added"}
    rows = {row.name: row for row in Registry.objects.all()}
    assert {name: (row.host, row.provider, row.kind, row.public_values) for name, row in rows.items()} == before
    assert (rows["mine"].is_enabled, rows["open"].is_enabled) == (False, True)
    assert AuditEntry.objects.filter(action="registry.add").count() == 2


def test_stored_secrets_of_a_registry_are_never_sent_another_way(people: People) -> None:
    row = RegistryFactory(name="mine", with_login=True)
    Registry.objects.filter(pk=row.pk).update(secrets=json.dumps({"password": SECRET}))
    told = yaml.safe_load(export(people, "registries"))
    for change in ({"insecure_tls": True}, {"auth_host": "evil.example.com"}):
        text = yaml.safe_dump({**told, "registries": [{**told["registries"][0], **change}]})

        [one] = post(people, "registries", text).context["planned"]

        assert one.state == "faulty"
        assert "another way" in one.fault
    quiet = yaml.safe_dump({**told, "registries": [{**told["registries"][0], "poll_schedule": "5 3 * * *"}]})
    assert outcomes(take(people, "registries", quiet)) == {"registry mine": "updated"}
    row.refresh_from_db()
    assert (row.poll_schedule, row.secret_values()) == ("5 3 * * *", {"password": SECRET})


ACCOUNT = {"name": "r", "provider": "custom", "host": "r.example.com"}


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"provider": "nobody"}, "no provider"),
        ({"host": ""}, ""),
        ({"base_url": "https://other.example.com"}, "same registry"),
        ({"base_url": "http://r.example.com"}, "plain HTTP"),
        ({"host": "docker.io"}, "another provider"),
        ({"kind": "telepathy"}, "no way to log in"),
        ({"public_values": {"password": "x"}}, "public values"),
        ({"ca_pem": "-----BEGIN PRIVATE KEY-----"}, "private key"),
        ({"ca_pem": "x"}, ""),
        ({"poll_schedule": "x"}, ""),
        ({"is_enabled": 1}, "true or false"),
        ({"path_prefix": "../x"}, ""),
    ],
    ids=str,
)
def test_faulty_account_says_why(odd: dict[str, Any], why: str, people: People) -> None:
    text = json.dumps({"ssm": "registries", "version": 1, "registries": [{**ACCOUNT, **odd}]})

    [one] = post(people, "registries", text).context["planned"]

    assert one.state == "faulty"
    assert why in one.fault


def test_second_account_for_the_same_images_fails_alone(people: People) -> None:
    text = json.dumps({"ssm": "registries", "version": 1, "registries": [ACCOUNT, {**ACCOUNT, "name": "s"}]})

    assert sorted(outcomes(take(people, "registries", text)).values()) == ["added", "failed"]


# ---- commands


def test_commands_write_preview_and_take_over(people: People, tmp_path: Path) -> None:
    fleet()
    file = tmp_path / "devices.json"
    call_command("export_devices", str(file), stderr=StringIO())
    assert json.loads(file.read_text())["ssm"] == "devices"
    forget_devices()
    out = StringIO()

    call_command("import_devices", str(file), username="administrator", stdout=out)
    assert "2 would be taken over" in out.getvalue()
    assert not Device.objects.exists()
    call_command("import_devices", str(file), "--apply", username="administrator", stdout=out)

    assert Device.objects.count() == 2
    assert AuditEntry.objects.filter(action="device.add", user_name="administrator").count() == 2


def test_commands_of_registries_work_alike(people: People, tmp_path: Path) -> None:
    RegistryFactory(name="one", host="one.example.com", provider="custom")
    file, out = tmp_path / "registries.yaml", StringIO()
    call_command("export_registries", str(file), stderr=StringIO())
    Registry.objects.all().delete()

    call_command("import_registries", str(file), "--apply", username="administrator", stdout=out)

    assert "added" in out.getvalue()
    assert Registry.objects.get().host == "one.example.com"


@pytest.mark.parametrize("who", ["viewer", "nobody"])
def test_command_needs_somebody_who_may(who: str, people: People, tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"ssm": "devices", "version": 1, "devices": [GOOD]}))

    with pytest.raises(CommandError):
        call_command("import_devices", str(file), "--apply", username=who, stdout=StringIO())

    assert not Device.objects.exists()


def test_command_fails_where_an_entry_does(people: People, tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"ssm": "devices", "version": 1, "devices": [{**GOOD, "port": 0}]}))

    with pytest.raises(CommandError, match="1 of 1"):
        call_command("import_devices", str(file), "--apply", username="administrator", stdout=StringIO())
