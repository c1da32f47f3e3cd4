"""Why the demo cannot run."""

from ssm.lib.errors import SsmError


class DemoError(SsmError):
    """The demo's hosts could not be started or removed; the message is one line for the person who asked."""

    code = "demo"
