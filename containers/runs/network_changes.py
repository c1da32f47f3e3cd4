"""Change a network: engines cannot, so it is made anew with the changes, and its containers are put back on it.

In order: note everything, take the containers off, remove the network, make the new one, put the containers on. Each
step looks at the host first, so it can be begun again after any crash. Whatever the engine refuses on the way, the
network is made again as it was, with all of its containers; they lose their connections on it for a moment either way.
"""

from collections.abc import Mapping
from typing import Any

from containers import operations
from containers.network_sync import raw_network, refresh_network, take_over
from containers.rules.endpoints import addresses_outside
from containers.rules.masking import MASK
from containers.rules.networks import create_body, network_facts, spec_of, taken_of
from containers.rules.subnets import Subnet
from containers.runs.network_host import (
    Attached,
    NetworkGone,
    NetworkNameTaken,
    NotConnected,
    attached_to,
    delete_network,
    find_container,
    look_at,
    of_name,
    post_connect,
    post_create,
    post_disconnect,
    show,
)
from containers.runs.run import Run
from devices.errors import EngineError
from ssm.lib.errors import SsmError


class NetworkUnchanged(SsmError):
    """The change failed; the network is as it was, or as near to it as the engine allowed: the message says which."""

    code = "network_unchanged"
    status = 409


def configure(run: Run) -> str:
    """Make a network anew. Parameters: ``body`` (of the new one), ``drops_addresses`` (that do not fit any more).

    Raises NetworkUnchanged with the engine's reason after going back.
    """
    if "finished" in run.journal:
        return _finish(run, run.journal["finished"])
    if "endpoints" not in run.journal:
        _plan(run)
    if "failed" in run.journal:
        _go_back(run)
    try:
        _take_off(run)
        new_id = _make(run)
        _put_on(run, new_id)
    except (EngineError, NotConnected) as exc:
        run.say(f"{exc.message} Going back.")
        run.note(failed={"message": exc.message[:1000], "fix": exc.fix[:1000]})
        _go_back(run)
    return _finish(run, new_id)


def _plan(run: Run) -> None:
    name, engine_id = run.operation.target_name, run.operation.engine_id
    answer = raw_network(run.engine, engine_id)
    if answer is None:
        raise NetworkGone(f"{run.device.name} has no network {name} any more.", fix="Choose another network.")
    facts = network_facts(answer, masks=False)
    if facts is None:
        raise NetworkGone(f"{run.device.name} tells nothing of the network {name}.")
    new_name = str(run.parameters["body"]["Name"])
    if new_name != name and of_name(run.engine, new_name):
        raise NetworkNameTaken(f"{run.device.name} has a network {new_name} already.", fix="Choose another name.")
    old = create_body(spec_of(facts), run.engine.api_version)
    # Labels and options may hold secrets.
    run.seal(old=old, new=_unmasked(run.parameters["body"], old))
    attached = attached_to(run.engine, engine_id, name)
    _refuse_named_by_id(run, attached)
    run.note(
        known=of_name(run.engine, new_name),
        known_of_old=of_name(run.engine, name),
        endpoints=[item.as_json() for item in attached],
    )


def _refuse_named_by_id(run: Run, attached: list[Attached]) -> None:
    """Docker 25 and later would let them be on no network any more: they have to be made anew before."""
    names = ", ".join(item.name for item in attached if item.is_named_by_id)
    if names:
        raise NetworkUnchanged(
            f"{names} on {run.device.name} knows {run.operation.target_name} by its id, which goes with the change.",
            fix="Recreate it first, without changes: it then knows the network by its name.",
        )


def _unmasked(body: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the old values where the form could only show that there is one."""
    made = dict(body)
    for part in ("Labels", "Options"):
        values = body.get(part) or {}
        made[part] = {
            name: old.get(part, {}).get(name, value) if MASK in str(value) else value for name, value in values.items()
        }
    return made


def _take_off(run: Run) -> None:
    """Take all containers off the old network and remove it; whoever came on it meanwhile is noted too."""
    engine_id = run.operation.engine_id
    if raw_network(run.engine, engine_id) is None:
        return
    noted = {entry["id"]: entry for entry in run.journal["endpoints"]}
    there = attached_to(run.engine, engine_id, run.operation.target_name)
    late = [item.as_json() for item in there if item.engine_id not in noted]
    if late:
        run.note(endpoints=[*run.journal["endpoints"], *late])
    for item in there:
        run.step(f"Taking {item.name} off the network")
        post_disconnect(run.engine, engine_id, item.engine_id, force=True)
    run.step("Removing the old network")
    delete_network(run.engine, engine_id)


def _made(run: Run) -> list[str]:
    """Ids of what this operation made under the new name."""
    new_name = str(run.parameters["body"]["Name"])
    known = {*run.journal["known"], run.operation.engine_id}
    return [engine_id for engine_id in of_name(run.engine, new_name) if engine_id not in known]


def _make(run: Run) -> str:
    run.step("Making the new network")
    made = _made(run)
    return made[0] if made else post_create(run, run.sealed["new"])


def _put_on(run: Run, new_id: str) -> None:
    new_name = str(run.parameters["body"]["Name"])
    answer = raw_network(run.engine, new_id)
    facts = network_facts(answer) if answer is not None else None
    subnets = [taken.subnet for taken in taken_of(new_name, facts.pools)] if facts else []
    for entry in run.journal["endpoints"]:
        if find_container(run.engine, entry["id"]) is None:
            run.say(f"{entry['name']} was removed meanwhile")
        elif look_at(run.engine, entry["id"], new_id, new_name) is None:
            run.step(f"Putting {entry['name']} on the new network")
            post_connect(run.engine, new_id, entry["id"], _fitting(run, entry, subnets))


def _fitting(run: Run, entry: Mapping[str, Any], subnets: list[Subnet]) -> dict[str, Any]:
    """The container's place without the fixed addresses that the new subnets do not have, if that was agreed to."""
    endpoint = dict(entry["endpoint"])
    outside = addresses_outside(endpoint, subnets)
    if outside and run.parameters.get("drops_addresses"):
        run.say(f"{entry['name']} gives up {', '.join(outside)}")
        kept = {key: text for key, text in endpoint.pop("IPAMConfig").items() if text not in outside}
        if kept:
            endpoint["IPAMConfig"] = kept
    return endpoint


def _finish(run: Run, new_id: str) -> str:
    run.note(finished=new_id)
    old_id = run.operation.engine_id
    take_over(run.device, run.engine, old_id, new_id)
    operations.note(run.operation, engine_id=new_id)
    show(run, new_id, [entry["id"] for entry in run.journal["endpoints"]])
    count = len(run.journal["endpoints"])
    return f"with {count} container{'s' if count != 1 else ''} put back on it" if count else ""


def _go_back(run: Run) -> None:
    """Remove what was made, make the old network again and put all containers on it. Always raises."""
    name, failed = run.operation.target_name, run.journal["failed"]
    troubles: list[str] = []
    for made in _made(run):
        if made != run.journal.get("restored"):
            _undo(run, made, troubles)
    old_id = _restore(run, troubles)
    for entry in run.journal["endpoints"] if old_id else ():
        if find_container(run.engine, entry["id"]) is None or look_at(run.engine, entry["id"], old_id, name):
            continue
        run.step(f"Putting {entry['name']} back")
        try:
            post_connect(run.engine, old_id, entry["id"], entry["endpoint"])
        except EngineError as exc:
            troubles.append(f"{entry['name']} could not be put back: {exc.message}")
    if old_id:
        if old_id != run.operation.engine_id:
            take_over(run.device, run.engine, run.operation.engine_id, old_id)
            operations.note(run.operation, engine_id=old_id)
        show(run, old_id, [entry["id"] for entry in run.journal["endpoints"]])
    standing = " ".join(troubles) or f"{name} and its containers are as they were."
    raise NetworkUnchanged(f"{failed['message']} {standing}"[:3900], fix=failed["fix"])


def _undo(run: Run, made: str, troubles: list[str]) -> None:
    run.step("Removing what was made")
    new_name = str(run.parameters["body"]["Name"])
    try:
        for item in attached_to(run.engine, made, new_name):
            post_disconnect(run.engine, made, item.engine_id, force=True)
        delete_network(run.engine, made)
    except EngineError as exc:
        troubles.append(f"The new network could not be removed: {exc.message}")
    refresh_network(run.device, run.engine, made)


def _restore(run: Run, troubles: list[str]) -> str:
    """The id of the old network, which is made again if it is gone; empty when the engine refuses that too."""
    engine_id, name = run.operation.engine_id, run.operation.target_name
    if raw_network(run.engine, engine_id) is not None:
        return engine_id
    known = {*run.journal["known_of_old"], engine_id, *_made(run)}
    there = [other for other in of_name(run.engine, name) if other not in known or other == run.journal.get("restored")]
    if there:
        return there[0]
    run.step(f"Making {name} again as it was")
    try:
        restored = post_create(run, run.sealed["old"])
    except EngineError as exc:
        troubles.append(f"{name} could not be made again: {exc.message}")
        return ""
    run.note(restored=restored)
    return restored
