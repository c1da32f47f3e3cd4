"""Second factors: set up, asked for at log-in, replaced by a recovery code, removed."""

import hashlib
import secrets
from base64 import b32encode
from binascii import unhexlify
from typing import Final
from urllib.parse import quote, urlencode

import segno
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.safestring import SafeString, mark_safe

from ssm.accounts.models import AuthenticatorApp, RecoveryCode
from ssm.accounts.models.audit import now
from ssm.accounts.models.second_factor import DIGITS, STEP_S

RECOVERY_CODES: Final = 10
# Without what is easily mistaken: 5 bits a letter, 50 a half, 80 in all are beyond guessing.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH: Final = 16


def has_second_factor(user: User) -> bool:
    """Whether the user set one up. One query."""
    return bool(AuthenticatorApp.objects.filter(user=user, confirmed=True).exists())


@transaction.atomic
def begin_setup(user: User) -> AuthenticatorApp:
    """A new app that counts once a code of it was typed; one that was begun before is continued."""
    app: AuthenticatorApp
    app, _created = AuthenticatorApp.objects.get_or_create(
        user=user, confirmed=False, defaults={"name": "Authenticator app", "key": secrets.token_hex(20)}
    )
    return app


def setup_secret(app: AuthenticatorApp) -> str:
    """What is typed into the app where the picture cannot be scanned, in groups of four."""
    text = b32encode(unhexlify(str(app.key))).decode()
    return " ".join(text[place : place + 4] for place in range(0, len(text), 4))


def setup_picture(app: AuthenticatorApp, issuer: str) -> SafeString:
    """The QR code as an SVG element, drawn here: the secret goes nowhere else. Without style attributes."""
    label = quote(f"{issuer}:{app.user.get_username()}")
    query = urlencode(
        {
            "secret": setup_secret(app).replace(" ", ""),
            "issuer": issuer,
            "algorithm": "SHA1",
            "digits": DIGITS,
            "period": STEP_S,
        }
    )
    code = segno.make(f"otpauth://totp/{label}?{query}", error="m", micro=False)
    picture = code.svg_inline(scale=1, border=2, omitsize=True, svgclass="qr__code", lineclass="qr__line", dark=None)
    return mark_safe(picture)  # noqa: S308 - made here, of paths and numbers


@transaction.atomic
def confirm_setup(user: User, code: str) -> list[str] | None:
    """Let the begun app count if the code is right, in place of an older one; makes new recovery codes.

    The codes, to be shown this once; None where the code is wrong.
    """
    app = AuthenticatorApp.objects.select_for_update().filter(user=user, confirmed=False).first()
    if app is None or not app.verify_token(code):
        return None
    AuthenticatorApp.objects.filter(user=user, confirmed=True).delete()
    app.confirmed = True
    app.save(update_fields=["confirmed"])
    return new_recovery_codes(user)


@transaction.atomic
def new_recovery_codes(user: User) -> list[str]:
    """Ten new codes in place of all older ones, to be shown this once."""
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=_digest(code)) for code in codes)
    return ["-".join(code[place : place + 4] for place in range(0, _LENGTH, 4)) for code in codes]


def recovery_codes_left(user: User) -> int:
    """How many codes were not used yet."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


@transaction.atomic
def check_code(user: User, text: str) -> str:
    """What the typed text is: "app" (the app's code now), "recovery" (a recovery code, used up by this), or "" (wrong).

    The row is locked meanwhile, so that a code that is sent twice at once counts once.
    """
    code = "".join(text.split()).replace("-", "").lower()[:40]
    app = AuthenticatorApp.objects.select_for_update().filter(user=user, confirmed=True).first()
    if app is None:
        return ""
    if code.isdecimal() and len(code) == DIGITS:
        return "app" if app.verify_token(code) else ""
    if not app.verify_is_allowed()[0]:
        return ""
    used = RecoveryCode.objects.filter(user=user, digest=_digest(code), used_at=None).update(used_at=now())
    if used:
        app.throttle_reset()
        return "recovery"
    app.throttle_increment()
    return ""


def wait_s(user: User) -> int:
    """Seconds until another code may be tried; 0: now."""
    app = AuthenticatorApp.objects.filter(user=user, confirmed=True).first()
    if app is None:
        return 0
    allowed, why = app.verify_is_allowed()
    if allowed or not why or "locked_until" not in why:
        return 0
    return max(1, int((why["locked_until"] - now()).total_seconds()) + 1)


@transaction.atomic
def remove(user: User) -> None:
    """Take app and recovery codes away."""
    AuthenticatorApp.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
