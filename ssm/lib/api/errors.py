"""How the API answers what went wrong: ``{code, message, fix, fields}``, whatever it was."""

from collections.abc import Mapping
from typing import Any

from ninja import Schema
from pydantic import Field

from ssm.lib.errors import SsmError


class Problem(Schema):
    """What is wrong, for programs (``code``, ``fields``) and for people (``message``, ``fix``)."""

    code: str = Field(description="Stable name of the kind of error.", examples=["not_found"])
    message: str = Field(description="What failed, where and why.", examples=["There is no such container."])
    fix: str = Field("", description="What to do about it; empty where nothing is known.")
    fields: dict[str, str] = Field({}, description="What is wrong with which field of the request.")


class FieldProblem(SsmError):
    """Fields of a request that cannot be used; ``fields`` tells what is wrong with which."""

    code = "invalid"
    status = 422

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(fields.values()) or "The request cannot be used.", fix="Correct the fields named.")
        self.fields = dict(fields)


class Conflict(SsmError):
    """What is asked for does not go together with how things stand."""

    code = "conflict"
    status = 409


def problem(code: str, message: str, *, fix: str = "", fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The body of an answer that is an error."""
    return {"code": code, "message": message, "fix": fix, "fields": dict(fields or {})}


# What any endpoint may answer beside its own.
PROBLEMS: dict[frozenset[int], type[Problem]] = {
    frozenset({400, 401, 403, 404, 409, 413, 422, 429, 502, 503, 504, 507}): Problem
}


def answers(good: Any, status: int = 200) -> dict[Any, Any]:
    """What an endpoint answers, for its description: the good answer and the errors."""
    return {status: good, **PROBLEMS}
