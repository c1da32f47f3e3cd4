"""Logging in and out, the raw API, completion for shells."""

import json
import sys
from typing import Any

import click
from click.shell_completion import get_completion_class

from ssm.cli import profiles
from ssm.cli.client import Client
from ssm.cli.errors import CommandFailed, Exit
from ssm.cli.output import local
from ssm.cli.session import Session, command
from ssm.cli.text import plain

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def add_to(cli: click.Group) -> None:
    """Add the commands."""

    @command(cli)
    @click.argument("url", required=False)
    @click.option("--token-stdin", is_flag=True, help="Read the token from standard input, for scripts.")
    @click.option("--ca-file", default="", help="Certificates that sign SSM's, where the system's do not.")
    def login(session: Session, url: str | None, token_stdin: bool, ca_file: str) -> None:  # noqa: FBT001
        """Keep an address and a token. Make the token on the page of your account."""
        address = profiles.address(url or click.prompt("Address of SSM", err=True))
        if profiles.is_open(address):
            session.output.say("Warning: without https, everybody on the way can read the token.")
        if token_stdin:
            token = sys.stdin.read(4096).strip()
        else:
            session.output.say(f"Make a token on {address}/account/ and paste it here.")
            token = click.prompt("Token", hide_input=True, err=True).strip()
        profile = profiles.Profile(address, token, ca_file)
        me = Client(profile, session.output.say).get("/me")
        path = profiles.keep(session.profile_name, profile)
        session.output.say(f"Logged in as {plain(me['username'])}; kept in {path}, for you alone.")

    @command(cli)
    @click.option("--revoke", is_flag=True, help="End the token too, wherever else it is used.")
    def logout(session: Session, revoke: bool) -> None:  # noqa: FBT001
        """Forget the address and the token."""
        if revoke:
            token = session.client.get("/me").get("token") or {}
            session.client.call("DELETE", f"/tokens/{token['id']}")
        if not profiles.forget(session.profile_name):
            raise CommandFailed("You were not logged in.", code=Exit.REFUSED)
        session.output.say("Forgotten." + (" The token is over." if revoke else ""))

    @command(cli)
    def whoami(session: Session) -> None:
        """Who you are to SSM, and what your token allows."""
        me = session.client.get("/me")
        if session.output.as_json:
            session.output.json(me)
            return
        token = me.get("token") or {}
        session.output.pairs(
            [
                ("address", session.client.profile.url),
                ("user", me["username"]),
                ("roles", me["roles"]),
                ("token", token.get("name")),
                ("until", token and local(token["expires_at"])),
            ]
        )
        for held in me["rights"]:
            where = "everywhere" if held["everywhere"] else ", ".join([*held["device_groups"], *held["labels"]])
            session.output.line(f"  {plain(held['right']).replace('_', ' '):<22} {plain(where)}")

    @command(cli)
    @click.argument("method", type=click.Choice(_METHODS, case_sensitive=False))
    @click.argument("path")
    @click.option("-q", "--query", multiple=True, metavar="NAME=VALUE", help="A parameter of the address.")
    @click.option("-d", "--data", default="", help="The body as JSON; @- reads it from standard input.")
    @click.option("--stream", is_flag=True, help="The answer is a stream: print an object a line as it comes.")
    def api(session: Session, method: str, path: str, query: tuple[str, ...], data: str, stream: bool) -> None:  # noqa: FBT001
        """Ask any endpoint, such as: ssm api GET /networks -q q=web"""
        body = _body(data)
        asked = dict(_pair(word) for word in query)
        way = "/" + path.strip().removeprefix("/api/v1").lstrip("/")
        if stream:
            for told in session.client.lines(way, asked, method=method.upper()):
                session.output.object_line(told)
            return
        answer = session.client.call(method.upper(), way, body=body, query=asked)
        if answer is not None:
            session.output.json(answer)

    @cli.command()
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    def completion(shell: str) -> None:
        """Print what makes your shell complete commands and names.

        bash: eval "$(ssm completion bash)" in ~/.bashrc; zsh the same in ~/.zshrc; fish: ssm completion fish | source
        """
        made = get_completion_class(shell)
        if made is None:
            raise CommandFailed(f"There is no completion for {shell}.", code=Exit.USAGE)
        click.echo(made(cli, {}, "ssm", "_SSM_COMPLETE").source())


def _pair(word: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not sign or not name:
        raise CommandFailed(f"{plain(word, 100)!r} is not NAME=VALUE.", code=Exit.USAGE)
    return name, value


def _body(data: str) -> Any:
    text = sys.stdin.read() if data == "@-" else data
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CommandFailed(f"The body is no JSON: {plain(exc)}.", code=Exit.USAGE) from exc
