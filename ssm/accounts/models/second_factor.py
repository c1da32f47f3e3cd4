"""Second factors: authenticator apps, and codes for when the app is lost."""

from binascii import unhexlify

from django.conf import settings
from django.db import models
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from ssm.accounts.models.audit import now
from ssm.lib.fields import EncryptedTextField

# Of RFC 6238: what every app assumes.
STEP_S = 30
DIGITS = 6
# Steps that a clock may be off, either way.
TOLERANCE = 1


class AuthenticatorApp(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]  # the library has no types
    """An app that shows a code every 30 seconds. Unlike the library's own kind its secret is stored encrypted.

    Whoever guesses waits longer after each wrong code; a code counts once.
    """

    # Hexadecimal, 160 bits.
    key = EncryptedTextField()
    # The last time step whose code was used, and how far the app's clock is off, in steps.
    last_step = models.BigIntegerField(default=-1)
    drift = models.SmallIntegerField(default=0)

    class Meta:
        verbose_name = "authenticator app"
        default_permissions = ("view", "delete")
        constraints = [
            # An app that was not confirmed is replaced by the next one.
            models.UniqueConstraint(fields=["user", "confirmed"], name="accounts_app_one_of_a_user"),
        ]

    def get_throttle_factor(self) -> float:
        """Seconds of waiting after the first wrong code; doubled with each further one."""
        return 1.0

    def verify_token(self, token: str) -> bool:
        """Whether the code is right, now, and was not used before. Writes the row."""
        allowed, _why = self.verify_is_allowed()
        if not allowed:
            return False
        try:
            number = int(token)
        except ValueError:
            number = -1
        totp = TOTP(unhexlify(str(self.key)), step=STEP_S, digits=DIGITS)
        totp.drift = self.drift
        if number >= 0 and totp.verify(number, TOLERANCE, self.last_step + 1):
            self.last_step = totp.t()
            self.drift = totp.drift
            self.throttle_reset(commit=False)
            self.set_last_used_timestamp(commit=False)
            self.save()
            return True
        self.throttle_increment()
        return False


class RecoveryCode(models.Model):
    """A code that stands in for the app once. Only its digest is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes")
    # SHA-256, hexadecimal: codes are random and long, so nothing slower is needed.
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=now)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="accounts_recovery_code")]

    def __str__(self) -> str:
        return f"recovery code of {self.user}"
