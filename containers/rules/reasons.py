"""States and reasons of updates in words, with what to do about each. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """``short`` is for a badge, ``text`` says what is the matter, ``fix`` what to do (empty: nothing)."""

    short: str
    text: str
    fix: str = ""


_STATES: Final = {
    "up_to_date": Words("up to date", "No newer image is known."),
    "update_available": Words("update", "A newer image exists."),
    "unknown": Words("unknown", "It cannot be said whether a newer image exists."),
    "not_watched": Words("not watched", "Updates are not looked for."),
    "error": Words("check failed", "The registry could not be asked."),
}
_REASONS: Final = {
    "local_image": Words(
        "local image",
        "The image was built or loaded on the host: no registry has it.",
        "Nothing to do if you meant it so; else pull it from a registry.",
    ),
    "not_in_registry": Words(
        "not in registry",
        "The registry does not have this repository.",
        "If the image was built on the host, nothing. Else look at the name, or add an account that may read it.",
    ),
    "no_reference": Words(
        "no name",
        "The container was created from an image's id, and the image has no name.",
        "Create it again from a name such as nginx:1.27.",
    ),
    "ambiguous_reference": Words(
        "several names",
        "The container was created from an image's id, and the image has several names.",
        "Create it again from the name that you mean.",
    ),
    "pinned_digest": Words(
        "pinned",
        "It is pinned to a digest without a tag, so there is nothing newer to compare with.",
        "Write the tag too: name:tag@sha256:…",
    ),
    "digest_not_watched": Words(
        "digest off",
        "The tag is a word, and its digest is not compared.",
        "Remove the label wud.watch.digest, or set it to true.",
    ),
    "platform_missing": Words("no such platform", "The tag holds no image for this host's platform any more."),
    "schema1": Words(
        "old format", "The registry has only an old form of the image that cannot be compared.", "Push it again."
    ),
    "invalid_include": Words("bad include", "The label wud.tag.include is no valid pattern.", "Put the label right."),
    "invalid_exclude": Words("bad exclude", "The label wud.tag.exclude is no valid pattern.", "Put the label right."),
    "include_matches_nothing": Words(
        "include hits nothing",
        "The label wud.tag.include matches no tag, not even the current one.",
        "Look at the label; in YAML the quotes must not be part of it.",
    ),
    "tag_gone": Words("tag gone", "The registry does not have this tag any more.", "Choose another tag."),
    "not_checked_yet": Words("not checked yet", "The registry was not asked yet.", "It is asked soon, or check now."),
    "label": Words("not watched", "The label wud.watch says that updates are not looked for."),
    "device": Words(
        "not watched",
        "The device's setting says that updates are not looked for.",
        "Set the label wud.watch to true, or change the device's setting.",
    ),
    "stopped": Words(
        "not watched", "It is stopped, and the device's setting says that only running containers are checked."
    ),
    "unauthorized": Words(
        "login refused", "The registry refused the login, or wants one.", "Add an account for it, or put its right."
    ),
    "forbidden": Words(
        "access denied", "The account may not read this repository.", "Give it the right, or add another account."
    ),
    "not_found": Words("repository gone", "The registry does not have this repository any more."),
    "rate_limited": Words(
        "rate limited", "The registry asked to be left alone for a while.", "It is asked again by itself."
    ),
    "quota_low": Words("quota low", "Few pulls are left; they are kept for real ones.", "It is asked again later."),
    "timeout": Words("timed out", "The registry did not answer in time.", "It is asked again by itself."),
    "tls": Words("TLS failed", "The registry's certificate is not trusted.", "Add its CA to the registry's account."),
    "unreachable": Words("unreachable", "Nothing answers at the registry's address.", "Look at its name and network."),
    "unavailable": Words("unavailable", "The registry says that it is broken.", "It is asked again by itself."),
    "bad_response": Words("bad answer", "The registry's answer breaks the protocol."),
    "too_large": Words("bad answer", "The registry's answer is larger than any honest one."),
    "digest_mismatch": Words("bad answer", "What the registry sent does not have the digest that it promised."),
    "unsafe_address": Words(
        "not asked",
        "The registry's name leads to an address that is not asked without being told to.",
        "If the registry is yours, add an account for it under Registries.",
    ),
    "unsafe_realm": Words("not asked", "The registry sends to a token server that is not trusted."),
    "unsafe_redirect": Words("not asked", "The registry redirects to where no request may go."),
    "credentials_invalid": Words(
        "account incomplete", "The registry's account cannot be used as it is.", "Put it right under Registries."
    ),
    "registry_unsupported": Words("no registry", "What answers there is no registry of API version 2."),
}
# Remarks beside a state.
NOTES: Final = {
    "pinned": "Pinned to a digest; the tag is compared with it.",
    "pulled_not_recreated": "A newer image is on the host already; the container has to be created again to use it.",
    "alias": "The newest tag is another name of the image that runs.",
    "tag_gone": "The registry does not have the current tag any more.",
    "digest_ignored": "The tag was rebuilt; a user ignores that build.",
}


def words_of(state: str, reason: str) -> Words:
    """The words for a state with its reason; an unknown reason is shown as the state alone."""
    fallback = _STATES.get(state, _STATES["unknown"])
    if not reason or (state == "error" and reason == "label"):
        return fallback
    return _REASONS.get(reason, fallback)


def reason_choices() -> list[tuple[str, str]]:
    """Codes and short words of all reasons, for a filter."""
    return [(code, words.short) for code, words in _REASONS.items() if code not in ("device", "stopped")]
