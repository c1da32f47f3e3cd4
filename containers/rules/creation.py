"""From a form to what is to be made or changed of a container (pure).

A form for an existing container shows it as it is stored, with secrets hidden; what is sent is compared with what was
shown, and only the difference is carried over to the container as its host tells it. So nothing is lost that the form
does not show, and what was hidden stays as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from containers.rules.creation_rows import read_mounts, read_networks, read_ports
from containers.rules.creation_values import (
    FIELDS,
    check_no_mask,
    read_duration,
    read_pairs,
    read_words,
)
from containers.rules.drafts import Draft
from containers.rules.limits import RESTART_POLICIES, read_whole
from containers.rules.masking import MASK
from containers.rules.parameters import ParameterError, read_name
from registries.rules.references import ImageId, InvalidReferenceError, parse_reference

_HEALTH: Final = ("health_kind", "health_command", "health_interval", "health_timeout", "health_start_period")
# What decides where values that somebody may not see end up: who runs, and who gets the lines.
_TELLING: Final = ("command", "entrypoint", *_HEALTH[:2], "log_driver", "log_options")
Change = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a form asks for, or why it cannot be asked for.

    ``changes`` is JSON for containers.rules.changing. ``errors`` are sentences by field: a field's name, or
    "kind:place:column" in a row.
    """

    changes: Change
    errors: Mapping[str, str]


def check(draft: Draft, shown: Draft, *, sees_values: bool) -> Checked:
    """Compare a form with what it showed at first (an empty draft for a new container).

    ``sees_values``: whether its user may see values of variables. Who may not cannot change what runs with them.
    """
    errors: dict[str, str] = {}
    changes: Change = {}
    for part in (_names, _fields, _restart, _health, _log, _pairs, read_ports, read_mounts, read_networks):
        for key, value in part(draft, shown, errors):
            if key in ("config", "host"):
                changes.setdefault(key, {}).update(value)
            else:
                changes[key] = value
    if not sees_values:
        _keep_from_telling(draft, shown, errors)
    if draft.fields.get("auto_remove") and draft.text("restart_policy") not in ("", "no"):
        errors.setdefault(
            "auto_remove", "A container that is removed when it ends cannot be started again: choose one."
        )
    return Checked(changes, errors)


def _differs(draft: Draft, shown: Draft, *names: str) -> bool:
    return any(draft.text(name) != shown.text(name) for name in names)


def _names(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if _differs(draft, shown, "name") or not draft.text("name"):
        try:
            yield "name", read_name(draft.text("name"))
        except ParameterError as exc:
            errors["name"] = str(exc)
    image = draft.text("image")
    if not image:
        errors["image"] = "Name the image that it is made of, such as nginx:1.27."
    elif _differs(draft, shown, "image"):
        try:
            parse_reference(image)
        except InvalidReferenceError as exc:
            errors["image"] = str(exc)
        else:
            yield "image", image


def _fields(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for each in FIELDS:
        if not _differs(draft, shown, each.name):
            continue
        try:
            check_no_mask(draft.fields, each.name)
            value = each.read(draft.fields, each.name)
        except ParameterError as exc:
            errors[each.name] = str(exc)
        else:
            yield each.part, {each.key: value}
    if "memory" not in errors and "memory_reservation" not in errors:
        memory, reservation = (_size(draft, name) for name in ("memory", "memory_reservation"))
        if memory and reservation and reservation > memory:
            errors["memory_reservation"] = "It must not be more than the limit of memory."


def _size(draft: Draft, name: str) -> int | None:
    field = next(each for each in FIELDS if each.name == name)
    try:
        size: int | None = field.read(draft.fields, name)
    except ParameterError:
        return None
    return size


def _restart(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if not _differs(draft, shown, "restart_policy", "restart_tries"):
        return
    policy = draft.text("restart_policy") or "no"
    if policy not in RESTART_POLICIES:
        errors["restart_policy"] = f"Choose one of {', '.join(RESTART_POLICIES)}."
        return
    try:
        tries = read_whole(draft.fields, "restart_tries", 0, 1_000_000) or 0
    except ParameterError as exc:
        errors["restart_tries"] = str(exc)
        return
    yield "host", {"RestartPolicy": {"Name": policy, "MaximumRetryCount": tries if policy == "on-failure" else 0}}


def _health(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if not _differs(draft, shown, *_HEALTH, "health_retries"):
        return
    kind, form = draft.text("health_kind") or "image", draft.fields
    if kind == "none":
        yield "config", {"Healthcheck": {"Test": ["NONE"]}}
        return
    check: dict[str, Any] = {}
    try:
        check_no_mask(form, "health_command")
        words = read_words(form, "health_command") if kind == "exec" else None
        if kind in ("exec", "shell") and not draft.text("health_command"):
            errors["health_command"] = "Write the command that tells whether it is well."
        if kind == "exec" and words:
            check["Test"] = ["CMD", *words]
        if kind == "shell":
            check["Test"] = ["CMD-SHELL", draft.text("health_command")]
    except ParameterError as exc:
        errors[exc.field] = str(exc)
    for name, key in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")):
        try:
            if value := read_duration(form, f"health_{name}"):
                check[key] = value
        except ParameterError as exc:
            errors[exc.field] = str(exc)
    try:
        if retries := read_whole(form, "health_retries", 1, 1000):
            check["Retries"] = retries
    except ParameterError as exc:
        errors[exc.field] = str(exc)
    yield "config", {"Healthcheck": check or None}


def _log(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if not _differs(draft, shown, "log_driver", "log_options"):
        return
    driver = draft.text("log_driver")
    try:
        check_no_mask(draft.fields, "log_options")
        options = read_pairs(draft.fields, "log_options", "max-size=10m") or {}
    except ParameterError as exc:
        errors[exc.field] = str(exc)
        return
    if options and not driver:
        errors["log_driver"] = "Options are those of a driver: name it, such as json-file."
        return
    yield "host", {"LogConfig": {"Type": driver, "Config": options} if driver else None}


def _pairs(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Variables and labels, as what is set and what is dropped: those that are not shown stay."""
    for kind, what in (("env", "variable"), ("label", "label")):
        before = {row["name"]: row["value"] for row in shown.of(kind)}
        seen: set[str] = set()
        wanted: dict[str, str] = {}
        for place, row in draft.filled(kind):
            name, value = row["name"].strip(), row["value"]
            if not name:
                errors[f"{kind}:{place}:name"] = f"Name the {what}."
            elif name in seen:
                errors[f"{kind}:{place}:name"] = f"The {what} {name[:60]} is given twice."
            elif kind == "env" and ("=" in name or any(ord(character) <= 32 for character in name)):
                errors[f"{kind}:{place}:name"] = "A name has neither blanks nor an equals sign."
            elif "\x00" in value:
                errors[f"{kind}:{place}:value"] = "It must not hold a zero byte."
            elif value != before.get(name):
                if MASK in value:
                    errors[f"{kind}:{place}:value"] = "Write the whole value, or leave it as it was."
                wanted[name] = value
            seen.add(name)
        dropped = [name for name in before if name not in seen]
        if wanted or dropped:
            yield kind, {"set": wanted, "drop": dropped}


def _keep_from_telling(draft: Draft, shown: Draft, errors: dict[str, str]) -> None:
    """Refuse what would bring hidden values to light: another program, another image, another receiver of its lines."""
    before = {row["name"] for row in shown.of("env") if row["value"] == MASK}
    kept = [row["name"] for _place, row in draft.filled("env") if row["name"] in before and row["value"] == MASK]
    if not kept:
        return
    sentence = (
        f"{len(kept)} of its variables hold values that you may not see, so you cannot change what runs with them: "
        "give these values anew, remove them, or ask somebody with the right to see values of variables."
    )
    for name in _TELLING:
        if _differs(draft, shown, name):
            errors.setdefault(name, sentence)
    if _differs(draft, shown, "image") and _repository(draft.text("image")) != _repository(shown.text("image")):
        errors.setdefault("image", sentence)


def _repository(text: str) -> tuple[str, str]:
    try:
        found = parse_reference(text)
    except InvalidReferenceError:
        return "", text
    return ("", str(found)) if isinstance(found, ImageId) else (found.registry, found.repository)
