"""What every command has: its options for output and profile, and a client made when it is first needed."""

import os
import sys
from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Any

import click

from ssm.cli import names, profiles
from ssm.cli.client import Client
from ssm.cli.errors import CommandFailed, Exit
from ssm.cli.output import Output


class Session:
    """One run of a command."""

    def __init__(self, *, as_json: bool, colour: str, profile: str) -> None:
        self.output = Output.of(as_json=as_json, colour=colour)
        self.profile_name = profile

    @cached_property
    def client(self) -> Client:
        """The API. CommandFailed when nobody is logged in."""
        return Client(profiles.find(self.profile_name), self.output.say)

    def device_id(self, name: str | None) -> str | None:
        """The id of a device that an option names."""
        return names.device(self.client, name)["id"] if name else None

    def confirm(self, question: str, *, is_sure: bool) -> None:
        """Ask before harm is done; where nobody can answer, --yes has to be given. CommandFailed."""
        if is_sure:
            return
        if not sys.stdin.isatty():
            raise CommandFailed(question, fix="Say --yes to do it.", code=Exit.USAGE)
        if not click.confirm(question, err=True):
            raise CommandFailed("Nothing was done.", code=Exit.FAILED)


def command(
    group: click.Group, name: str | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Like ``group.command``, with the options of all; the function is given the session first."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        def run(*args: Any, as_json: bool, colour: str, profile: str, **kwargs: Any) -> Any:
            return function(Session(as_json=as_json, colour=colour, profile=profile), *args, **kwargs)

        update_wrapper(run, function)
        options = [
            click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs."),
            click.option(
                "--color",
                "colour",
                type=click.Choice(["auto", "always", "never"]),
                default="auto",
                help="Colours: only at a terminal (auto), always or never.",
            ),
            click.option(
                "--profile",
                default=lambda: os.environ.get("SSM_PROFILE") or profiles.DEFAULT,
                help="The log-in to use (SSM_PROFILE), where there are several.",
            ),
        ]
        for option in options:
            option(run)
        return group.command(name, **settings)(run)

    return wrap


def completing(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Suggest names of things of SSM; silent when it does not answer."""

    def complete(context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
        try:
            client = Client(profiles.find(context.params.get("profile") or profiles.DEFAULT))
            if kind == "device":
                found = [str(row["name"]) for row in client.pages("/devices", {"q": text}, most=50)]
            else:
                on, slash, rest = text.rpartition("/")
                query = {"q": rest, "device": names.device(client, on)["id"] if slash else None}
                found = [f"{row['device']['name']}/{row['name']}" for row in client.pages(f"/{kind}s", query, most=50)]
        except Exception:  # a shell that completes must not be written to
            return []
        return [name for name in found if name.startswith(text) and name.isprintable()]

    return complete
