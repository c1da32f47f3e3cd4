"""Names that people type for images. Pure."""

from registries.rules.references import ImageId, InvalidReferenceError, parse_reference

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x")


class NameProblemError(ValueError):
    """Text that cannot be an image's name; the text is a sentence for the field of a form."""


def pullable_reference(text: str) -> str:
    """The familiar form of what somebody wants to pull: host/path:tag, or by its digest. Raises NameProblemError."""
    if not text:
        raise NameProblemError("Name an image, such as nginx:1.27.")
    try:
        found = parse_reference(text)
    except InvalidReferenceError as exc:
        raise NameProblemError(str(exc)) from exc
    if isinstance(found, ImageId):
        raise NameProblemError("This is the id of an image on a host; no registry can be asked for it.")
    return found.familiar


def repository_reference(text: str) -> str:
    """The familiar form of a name that an image is to have: a tag, no digest. Raises NameProblemError."""
    name = pullable_reference(text)
    if "@" in name:
        raise NameProblemError("A name that is given has a tag, not a digest.")
    return name
