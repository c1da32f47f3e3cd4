"""Acts on networks: make, remove, prune, connect and disconnect. Each looks at the host first and again at its end.

Nothing is removed from under containers that are on it, running or not.
"""

from collections.abc import Mapping
from typing import Any

from containers import operations, sync
from containers.network_sync import forget, raw_network, refresh_network
from containers.rules.inspection import is_engine_id
from containers.runs.network_host import (
    NetworkGone,
    NetworkInUse,
    NetworkNameTaken,
    NotConnected,
    attached_to,
    delete_network,
    find_container,
    in_use,
    look_at,
    of_name,
    post_connect,
    post_create,
    post_disconnect,
    show,
)
from containers.runs.run import Run
from devices.errors import EngineError


def create(run: Run) -> str:
    """Make a network. Parameters: ``body``. A second attempt takes what the first one made for its own."""
    body = dict(run.parameters["body"])
    name = str(body["Name"])
    there = of_name(run.engine, name)
    if "known" not in run.journal:
        if there:
            raise NetworkNameTaken(
                f"{run.device.name} has a network {name} already.", fix="Choose another name, or change that one."
            )
        run.note(known=there)
    made = [engine_id for engine_id in there if engine_id not in run.journal["known"]]
    engine_id = made[0] if made else post_create(run, body)
    operations.note(run.operation, engine_id=engine_id)
    refresh_network(run.device, run.engine, engine_id)
    return "found made after a break" if made else ""


def remove(run: Run) -> str:
    """Remove a network. Parameters: ``disconnect`` (its containers first, all of them, running or not).

    Whoever was disconnected is connected again when the engine then refuses.
    """
    engine_id, name = run.operation.engine_id, run.operation.target_name
    if raw_network(run.engine, engine_id) is None:
        forget(run.device, engine_id)
        return "" if run.is_resumed else "nothing to do: it was gone already"
    attached = attached_to(run.engine, engine_id, name)
    if attached and not run.parameters.get("disconnect"):
        raise in_use(name, run.device.name, attached)
    run.note(endpoints=run.journal.get("endpoints") or [item.as_json() for item in attached])
    for item in attached:
        if item.is_named_by_id:
            run.say(f"{item.name} knows the network by its id: recreate it before it goes on another one")
        run.step(f"Disconnecting {item.name}")
        post_disconnect(run.engine, engine_id, item.engine_id, force=True)
    run.step("Removing the network")
    try:
        delete_network(run.engine, engine_id)
    except EngineError:
        _connect_again(run, engine_id)
        raise
    for entry in run.journal["endpoints"]:
        sync.refresh(run.device, run.engine, entry["id"])
    forget(run.device, engine_id)
    count = len(run.journal["endpoints"])
    return f"after disconnecting {count} container{'s' if count != 1 else ''}" if count else ""


def _connect_again(run: Run, engine_id: str) -> None:
    for entry in run.journal["endpoints"]:
        if look_at(run.engine, entry["id"], engine_id, run.operation.target_name) is None:
            try:
                post_connect(run.engine, engine_id, entry["id"], entry["endpoint"])
            except EngineError as exc:
                run.say(f"{entry['name']} could not be connected again: {exc.message}")
    show(run, engine_id, [entry["id"] for entry in run.journal["endpoints"]])


def prune(run: Run) -> str:
    """Remove the networks that somebody has seen and chosen. Parameters: ``networks``, of ``id`` and ``name`` each.

    One that a container has come to use meanwhile stays. Raises NetworkInUse when none could be removed.
    """
    run.note(begun=True)
    removed, kept = 0, []
    for entry in run.parameters["networks"]:
        engine_id, name = str(entry["id"]), str(entry["name"])
        run.step(f"Removing {name}")
        attached = attached_to(run.engine, engine_id, name)
        try:
            if attached:
                raise in_use(name, run.device.name, attached)
            if is_engine_id(engine_id):
                delete_network(run.engine, engine_id)
            forget(run.device, engine_id)
            removed += 1
            run.say(f"{name}: removed")
        except (NetworkInUse, EngineError) as exc:
            kept.append(f"{name}: {exc.message}")
            run.say(f"{name}: kept. {exc.message}")
            refresh_network(run.device, run.engine, engine_id)
    if kept and not removed:
        raise NetworkInUse(" ".join(kept)[:1000], fix="Look at the networks again: what uses them has changed.")
    return f"{removed} removed" + (f", {len(kept)} kept" if kept else "")


def connect(run: Run) -> str:
    """Connect containers. Parameters: ``containers`` (of ``id`` and ``name``), ``endpoint``, ``replaces``.

    ``replaces`` True: one that is on it already comes to be there in the new way, and goes back to the old one when
    the engine refuses that. One that is on a network of this name that is gone is taken off that as well.
    """
    engine_id, name = run.operation.engine_id, run.operation.target_name
    if raw_network(run.engine, engine_id) is None:
        forget(run.device, engine_id)
        raise NetworkGone(f"{run.device.name} has no network {name} any more.", fix="Choose another network.")
    run.note(begun=True)
    failed: list[str] = []
    chosen = [(str(entry["id"]), str(entry["name"])) for entry in run.parameters["containers"]]
    for container_id, container_name in chosen:
        run.step(f"Connecting {container_name}")
        try:
            _connect_one(run, container_id, container_name)
        except (EngineError, NotConnected) as exc:
            failed.append(f"{container_name}: {exc.message} {exc.fix}".strip())
            run.say(failed[-1])
    show(run, engine_id, [container_id for container_id, _name in chosen])
    if failed:
        raise NotConnected(" ".join(failed)[:3000])
    return ""


def _connect_one(run: Run, container_id: str, container_name: str) -> None:
    engine_id, name = run.operation.engine_id, run.operation.target_name
    wanted = dict(run.parameters.get("endpoint") or {})
    answer = find_container(run.engine, container_id)
    if answer is None:
        raise NotConnected(f"{container_name} does not exist on {run.device.name} any more.")
    now = look_at(run.engine, container_id, engine_id, name)
    replaced = run.journal.get("replaced", {})
    if now is not None and not run.parameters.get("replaces"):
        if run.is_resumed:
            return  # the attempt before got that far
        raise NotConnected(f"{container_name} is on {name} already.")
    if now is not None and container_id in replaced and _is_as_wanted(now.endpoint, wanted):
        return
    stale = stale_keys(answer, engine_id, name) if run.parameters.get("replaces") else []
    if container_id not in replaced:
        run.note(replaced={**replaced, container_id: now.endpoint if now else {}})
    for key in stale:
        post_disconnect(run.engine, key, container_id, force=True)
    if now is not None:
        post_disconnect(run.engine, engine_id, container_id)
    try:
        post_connect(run.engine, engine_id, container_id, wanted)
    except EngineError:
        if now is not None or run.journal["replaced"][container_id]:
            run.say(f"{container_name}: going back to how it was")
            post_connect(run.engine, engine_id, container_id, run.journal["replaced"][container_id])
        raise


def stale_keys(answer: Mapping[str, Any], engine_id: str, name: str) -> list[str]:
    """The name, when the container is on a network of it that is another one, most likely gone."""
    settings = answer.get("NetworkSettings")
    networks = settings.get("Networks") if isinstance(settings, dict) else None
    place = networks.get(name) if isinstance(networks, dict) else None
    told = place.get("NetworkID") if isinstance(place, dict) else ""
    return [name] if told and told not in (engine_id, name) else []


def _is_as_wanted(endpoint: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    keys = ("Aliases", "IPAMConfig")
    return all((endpoint.get(key) or None) == (wanted.get(key) or None) for key in keys)


def disconnect(run: Run) -> str:
    """Disconnect containers. Parameters: ``containers`` (of ``id`` and ``name``), ``force``.

    The network may be gone: a container that is only said to be on it can then be taken off by force.
    """
    engine_id, name = run.operation.engine_id, run.operation.target_name
    run.note(begun=True)
    failed: list[str] = []
    there = is_engine_id(engine_id) and raw_network(run.engine, engine_id) is not None
    chosen = [(str(entry["id"]), str(entry["name"])) for entry in run.parameters["containers"]]
    for container_id, container_name in chosen:
        run.step(f"Disconnecting {container_name}")
        try:
            force = bool(run.parameters.get("force")) or not there
            post_disconnect(run.engine, engine_id if there else name, container_id, force=force)
        except EngineError as exc:
            failed.append(f"{container_name}: {exc.message} {exc.fix}".strip())
    show(run, engine_id, [container_id for container_id, _name in chosen])
    if failed:
        raise NotConnected(" ".join(failed)[:3000])
    return ""
