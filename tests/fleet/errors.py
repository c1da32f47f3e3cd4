"""The one error of the fleet: what could not be done, on which host, and why."""


class FleetError(RuntimeError):
    """A fleet action failed; the message is one that a developer can act on."""
