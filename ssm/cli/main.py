"""The command `ssm`."""

import os
import sys
from typing import Any

import click

from ssm.cli.commands import access, activity, containers, devices, inventory, logs, updates
from ssm.cli.errors import CommandFailed, Exit
from ssm.cli.text import plain, plain_lines
from ssm.lib.version import VERSION

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(VERSION, "--version", message="ssm %(version)s")
def cli() -> None:
    """See and run the containers of all your servers, through SSM.

    Begin with: ssm login https://ssm.example.com

    Names are DEVICE/CONTAINER, or CONTAINER alone where there is one of that name; '*' and '?' are patterns, which
    want quotes. Exit codes: 0 good, 1 did not work out, 2 wrong command line, 3 SSM does not answer, 4 not logged in or
    not allowed, 5 no such thing.
    """


for module in (access, devices, containers, logs, updates, inventory, activity):
    module.add_to(cli)


def main(arguments: list[str] | None = None) -> Any:
    """Run; what fails is one or two lines on standard error, and an exit code of `Exit`."""
    try:
        code = cli.main(args=arguments, prog_name="ssm", standalone_mode=False)
        sys.stdout.flush()
    except CommandFailed as exc:
        _complain(plain_lines(exc.message), plain_lines(exc.fix))
        sys.exit(int(exc.code))
    except click.ClickException as exc:
        # Words that were typed may have come from elsewhere, by a shell's variables.
        context = exc.ctx if isinstance(exc, click.UsageError) else None
        _complain(plain(exc.format_message()), f"Try: {context.command_path} --help" if context else "")
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        sys.exit(int(Exit.INTERRUPTED))
    except BrokenPipeError:
        # Whoever read it has had enough, such as `head`; the interpreter must not complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(int(Exit.GOOD))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, fix: str) -> None:
    click.echo(f"ssm: {message}", err=True)
    if fix:
        click.echo(f"     {fix}", err=True)
