"""Forms of the pages as the API's door to the same checks: filled from JSON, their errors told by field."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from django.forms import BaseForm
from pydantic import AfterValidator

from ssm.lib.api.errors import FieldProblem

# PostgreSQL's text holds no NUL: in a filter it is left out, as nothing could match it.
Text = Annotated[str, AfterValidator(lambda text: text.replace("\x00", "").strip())]
# What forms call an error of no field in particular.
_ALL: Final = "__all__"


def values_of(form: BaseForm) -> dict[str, Any]:
    """What a form that nobody has sent yet holds, by the names under which it would be sent.

    A change names what it changes; with these the rest stays as it is. Fields for secrets are empty, which keeps them.
    """
    return {form.add_prefix(name): form[name].value() for name in form.fields}


def problems_of(form: BaseForm, names: Mapping[str, str] | None = None, prefix: str = "") -> dict[str, str]:
    """The errors of a form by field, as the request calls it (``names`` where that differs from the form's name)."""
    told: dict[str, str] = {}
    for field, errors in form.errors.items():
        own = "" if field == _ALL else (names or {}).get(field, field)
        name = f"{prefix}{own}" if own else prefix.rstrip(".")
        told[name] = " ".join([told[name]] if name in told else []) + " ".join(str(error) for error in errors)
    return told


def check(form: BaseForm, names: Mapping[str, str] | None = None) -> None:
    """FieldProblem unless the form is valid."""
    if not form.is_valid():
        raise FieldProblem(problems_of(form, names))


def lines_of(pairs: Mapping[str, str]) -> str:
    """Pairs as the forms take them: one ``name=value`` a line. FieldProblem where that is not possible."""
    for name, value in pairs.items():
        if any(character in f"{name}{value}" for character in "\r\n\x00") or "=" in name or not name.strip():
            raise FieldProblem(
                {"": f"“{name[:60]}”: names and values are one line each, and a name has no equals sign."}
            )
    return "\n".join(f"{name}={value}" for name, value in pairs.items())
