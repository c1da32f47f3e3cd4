"""The fleet on the command line: `python -m tests.fleet up 3`."""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable

from tests.fleet.errors import FleetError
from tests.fleet.fleets import Fleet
from tests.fleet.host_files import SSH_MODES
from tests.fleet.hosts import Host
from tests.fleet.packages import ENGINES, require_machine
from tests.fleet.recipes import DEMO_RECIPES, RECIPES
from tests.fleet.shell import announce

USAGE = """python -m tests.fleet VERB [--net NET] [--dir DIR] ...

  up N [--engine 20|26|28|podman|mix] [--no-registry] [--bare]   start hosts 1..N, print the inventory (JSON)
  inventory | status [--json]                                    what is there
  registry [--stop]                                              registry on 10.77.NET.1:5000 with demo images
  push NAME TAG [--rev TEXT]                                     publish e.g. demo/web 1.2.0; --rev: another digest
  cut HOST [--silent] | heal HOST                                cable out/in; --silent: no "no route to host" either
  kill-docker HOST [--term] | start-docker HOST                  crash (or stop) / start the engine
  kill-ssh HOST [--listener] | start-ssh HOST                    end sshd and its sessions (or the listener alone)
  ssh-mode HOST default|no-streamlocal|kbdint|max1               another sshd configuration, sshd restarted
  new-host-key HOST                                              a changed host key
  restore HOST                                                   back to normal from all of these
  reboot HOST                                                    the host dies at once and starts again, data kept
  exec HOST CMD...                                               root's view inside the host
  run HOST NAME IMAGE [KEY=VALUE...] [--tty]                     a container of a test image, such as test/lines
  prepare [--engine E]                                           only fetch and unpack packages
  down [--keep] [--purge]                                        remove everything (--keep: host data stays;
                                                                 --purge: the package cache goes too)

HOST is a number, a name or an engine. NET is $FLEET_NET or 76, DIR $FLEET_HOME/NET, the package cache
$FLEET_HOME/cache, and FLEET_HOME /var/lib/ssm-fleet."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", usage=USAGE)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--net", type=int)
    common.add_argument("--dir")
    verbs = parser.add_subparsers(dest="verb", required=True)

    def add(verb: str) -> argparse.ArgumentParser:
        return verbs.add_parser(verb, parents=[common])

    engines = [*ENGINES, "mix"]
    up = add("up")
    up.add_argument("count", type=int)
    up.add_argument("--engine", choices=engines, default="mix")
    up.add_argument("--no-registry", action="store_true")
    up.add_argument("--bare", action="store_true")
    add("prepare").add_argument("--engine", choices=engines, default="mix")
    add("inventory")
    add("status").add_argument("--json", action="store_true")
    add("registry").add_argument("--stop", action="store_true")
    push = add("push")
    push.add_argument("name", choices=[recipe.name for recipe in DEMO_RECIPES])
    push.add_argument("tag")
    push.add_argument("--rev", default="")
    down = add("down")
    down.add_argument("--keep", action="store_true")
    down.add_argument("--purge", action="store_true")
    on_host = {verb: add(verb) for verb in (*_HOST_VERBS, "exec", "run")}
    for verb_parser in on_host.values():
        verb_parser.add_argument("host")
    on_host["cut"].add_argument("--silent", action="store_true")
    on_host["kill-docker"].add_argument("--term", action="store_true")
    on_host["kill-ssh"].add_argument("--listener", action="store_true")
    on_host["ssh-mode"].add_argument("mode", choices=SSH_MODES)
    on_host["exec"].add_argument("words", nargs=argparse.REMAINDER)
    on_host["run"].add_argument("name")
    on_host["run"].add_argument("image")
    on_host["run"].add_argument("variables", nargs="*")
    on_host["run"].add_argument("--tty", action="store_true")
    return parser


_HOST_VERBS: dict[str, Callable[[Host, argparse.Namespace], None]] = {
    "cut": lambda host, options: host.cut(silent=options.silent),
    "heal": lambda host, _options: host.heal(),
    "kill-docker": lambda host, options: host.kill_docker(term=options.term),
    "start-docker": lambda host, _options: host.start_docker(),
    "kill-ssh": lambda host, options: host.kill_ssh(listener_only=options.listener),
    "start-ssh": lambda host, _options: host.start_ssh(),
    "ssh-mode": lambda host, options: host.set_ssh_mode(options.mode),
    "new-host-key": lambda host, _options: host.new_host_key(),
    "restore": lambda host, _options: host.restore(),
    "reboot": lambda host, _options: host.reboot(),
}


def _engines(choice: str, count: int) -> list[str]:
    return [ENGINES[number % len(ENGINES)] if choice == "mix" else choice for number in range(count)]


def _print_status(fleet: Fleet, *, as_json: bool) -> None:
    layout, registry = fleet.layout, fleet.registry.is_up()
    states = [host.status() for host in fleet.hosts]
    if as_json:
        report = {
            "dir": str(layout.directory),
            "bridge": fleet.network.is_mine,
            "registry": registry,
            "hosts": [dataclasses.asdict(state) for state in states],
        }
        print(json.dumps(report, indent=2))
        return
    bridge = "up" if fleet.network.is_mine else "absent"
    print(f"{layout.directory}  bridge {bridge}  registry {'up on ' + layout.registry if registry else 'down'}")
    for state in states:
        if state.init is None:
            print(f"{state.hostname:10} {state.address:13} {state.engine} off")
            continue
        held = "engine silent" if state.containers is None else f"{len(state.containers)} containers"
        print(
            f"{state.hostname:10} {state.address:13} {state.engine:7}{state.version or '?':18} link {state.link:4} "
            f"sshd {state.ssh or 'off':<7} engine {state.engine_pid or 'off':<7} {state.processes} processes "
            f"{state.memory_mb} MB (own {state.own_memory_mb})  {held}  ssh-mode {state.ssh_mode}"
        )


def _run_on_host(fleet: Fleet, options: argparse.Namespace) -> None:
    host = fleet.host(options.host)
    if options.verb == "exec":
        variables = host.body.environment([("TERM", os.environ.get("TERM", "dumb"))])
        command = host.body.command(*(options.words or ["bash"]))
        os.execvpe(command[0], command, variables)  # noqa: S606
    with fleet.exclusive():
        if options.verb == "run":
            variables = dict(variable.split("=", 1) for variable in options.variables)
            image = RECIPES.get(options.image, options.image)
            print(host.run(options.name, image, env=variables, tty=options.tty))
            return
        _HOST_VERBS[options.verb](host, options)
        fleet.inventory()


def _act(options: argparse.Namespace) -> None:
    require_machine()
    os.umask(0o022)
    fleet = Fleet(options.net, options.dir)
    match options.verb:
        case "up":
            engines = _engines(options.engine, options.count)
            inventory = fleet.up(engines, registry=not options.no_registry, bare=options.bare)
            print(json.dumps(inventory.as_json(), indent=2))
        case "prepare":
            fleet.prepare(_engines(options.engine, len(ENGINES)))
        case "inventory":
            print(json.dumps(fleet.inventory().as_json(), indent=2))
        case "status":
            _print_status(fleet, as_json=options.json)
        case "registry":
            with fleet.exclusive():
                fleet.registry.stop() if options.stop else fleet.registry.start()
            print(json.dumps(dataclasses.asdict(fleet.registry.entry()), indent=2))
        case "push":
            print(fleet.registry.push(RECIPES[options.name], options.tag, options.rev))
        case "down":
            fleet.down(keep=options.keep, purge=options.purge)
        case _:
            _run_on_host(fleet, options)


def main() -> int:
    """Run one verb; errors are one line on standard error and status 1."""
    try:
        _act(_parser().parse_args())
    except (FleetError, OSError, subprocess.SubprocessError) as error:
        announce(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
