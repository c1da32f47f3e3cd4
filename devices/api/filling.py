"""A request about a device as its form takes it, and the form's errors as the request calls its fields."""

from typing import Any, Final

from django.http import HttpRequest

from devices.api.schemas import DeviceChange, NewLogin
from devices.forms.devices import EXISTING, NEW, OF_GROUP, DeviceForm
from devices.models import Device
from devices.rules.host_keys import HostKeyError, parse_host_key
from devices.services import MOST_HOPS
from ssm.lib.api.errors import FieldProblem
from ssm.lib.api.forms import problems_of, values_of

_SECRETS: Final = ("private_key", "passphrase", "password")
_LOGIN: Final = tuple(NewLogin.model_fields)
_APART: Final = frozenset({"groups", "credential", "login", "use_group_login", "jumps", "host_key"})
_NAMES: Final = {name: f"login.{name}" for name in _LOGIN} | {"private_key_file": "login.private_key"}


def filled(request: HttpRequest, order: DeviceChange, device: Device | None, kind: type[DeviceForm]) -> DeviceForm:
    """The form of a new device, or of one as it stands, with what the request names. FieldProblem when not valid."""
    options: dict[str, Any] = {"user": request.user} | ({"instance": device} if device is not None else {})
    empty = kind(**options)
    data = values_of(empty)
    for jump in empty.jump_forms.forms:
        data |= values_of(jump)
    data |= {name: value for name, value in _given(order).items() if name not in _APART}
    if order.groups is not None:
        data["groups"] = ", ".join(order.groups)
    _fill_login(data, order, is_new=device is None)
    if order.jumps is not None:
        _fill_jumps(data, order)
    if order.host_key:
        data |= _host_key(order.host_key)
    form = kind(data, {}, **options)
    if not form.is_valid():
        raise FieldProblem(_problems(form))
    return form


def _given(order: DeviceChange) -> dict[str, Any]:
    """What the request names, also where it says null: that empties a reference."""
    return order.model_dump(exclude_unset=True)


def _fill_login(data: dict[str, Any], order: DeviceChange, *, is_new: bool) -> None:
    given = order.model_fields_set
    if order.login is not None:
        data["login"] = NEW
        data |= {name: _plain(order.login, name) for name in _LOGIN}
    elif (
        order.use_group_login
        or (is_new and order.credential is None)
        or ("credential" in given and order.credential is None)
    ):
        data["login"] = OF_GROUP
    elif order.credential is not None:
        data["login"], data["credential"] = EXISTING, str(order.credential)


def _plain(login: NewLogin, name: str) -> Any:
    return getattr(login, name).get_secret_value() if name in _SECRETS else getattr(login, name)


def _fill_jumps(data: dict[str, Any], order: DeviceChange) -> None:
    wanted = [jump.model_dump() for jump in order.jumps or ()]
    empty = {"via": None, "address": "", "port": 22, "credential": None}
    for number in range(MOST_HOPS):
        row = wanted[number] if number < len(wanted) else empty
        data |= {f"jumps-{number}-{name}": value for name, value in row.items()}


def _host_key(text: str) -> dict[str, str]:
    try:
        key = parse_host_key(text)
    except HostKeyError as exc:
        raise FieldProblem({"host_key": f"This is no host key that can be used: {exc}."}) from exc
    return {"host_key_type": key.key_type, "host_key_base64": key.key_base64}


def _problems(form: DeviceForm) -> dict[str, str]:
    told = problems_of(form, _NAMES)
    for number, jump in enumerate(form.jump_forms.forms):
        told |= problems_of(jump, prefix=f"jumps.{number}.")
    return told
