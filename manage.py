#!/usr/bin/env python
"""Entry point of every management command."""

import os
import sys


def main() -> int:
    """Run one command; an error of ours is one line on standard error and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    from ssm.lib.errors import SsmError
    from ssm.services.environment import invent_environment, load_environment, prepare_environment
    from ssm.services.layout import find_layout
    from ssm.services.locks import hold_lock

    try:
        if sys.argv[1:2] == ["up"]:
            # Django's settings need the keys and URLs that the first start generates.
            layout = find_layout()
            hold_lock(layout)
            prepare_environment(layout)
        else:
            load_environment(find_layout(with_account=False))
            if sys.argv[1:2] == ["explain_update"] and {"--cases", "--current"} & {
                argument.partition("=")[0] for argument in sys.argv
            }:
                # It answers from what it is given: a checkout that was never started will do.
                invent_environment()

        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except SsmError as error:
        sys.stderr.write(f"ssm: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
