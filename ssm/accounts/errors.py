"""What can be wrong with people and their ways in."""

from ssm.lib.errors import SsmError


class TokenRefused(SsmError):
    """A token that does not count."""

    code = "token_refused"
    status = 401

    def __init__(self, why: str = "is unknown, over, or revoked") -> None:
        super().__init__(f"The token {why}.", fix="Make a new one on the page of your account.")


class Refused(SsmError):
    """A change to people that would lock everybody out, or give more than its author holds."""

    code = "refused"
    status = 409
