"""The description of the API as a page: all of it is there before any script runs."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ssm.api.entry import VERSION, api
from ssm.api.tags import TITLES

_DEEPEST: Final = 4
_METHODS: Final = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter, or a field of a body or an answer. ``depth`` is how far inside another one it stands."""

    name: str
    kind: str
    text: str
    is_required: bool = False
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method at one path."""

    name: str
    method: str
    path: str
    title: str
    text: str
    right: str
    parameters: tuple[Value, ...]
    body: tuple[Value, ...]
    # What it answers in words, and the shape that is described further below.
    answer: str
    shape: str
    status: str
    example: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What answers are made of."""

    name: str
    text: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The endpoints about one thing."""

    key: str
    title: str
    endpoints: tuple[Endpoint, ...]


@require_GET
def docs(request: HttpRequest) -> HttpResponse:
    """What the API can do, with every parameter, field and answer; for everybody who is logged in."""
    root = request.build_absolute_uri("/api/v1")
    context = {"sections": sections(), "shapes": shapes(), "version": VERSION, "root": root, "section": "api"}
    return render(request, "api/docs.html", context)


@lru_cache(maxsize=1)
def sections() -> tuple[Section, ...]:
    """All endpoints by what they are about, in the order of `TITLES`."""
    schema: dict[str, Any] = api.get_openapi_schema()
    shapes = schema["components"]["schemas"]
    rights = {
        str(each.operation_id): getattr(each.view_func, "needed_right", None)
        for _prefix, router in api._routers
        for view in router.path_operations.values()
        for each in view.operations
    }
    found: dict[str, list[Endpoint]] = defaultdict(list)
    for path, methods in schema["paths"].items():
        for method in _METHODS:
            if entry := methods.get(method):
                found[entry["tags"][0]].append(_endpoint(path, method, entry, shapes, rights[entry["operationId"]]))
    order = [*TITLES, *sorted(set(found) - set(TITLES))]
    return tuple(
        Section(key.replace(" ", "-"), TITLES.get(key, key.capitalize()), tuple(found[key]))
        for key in order
        if key in found
    )


@lru_cache(maxsize=1)
def shapes() -> tuple[Shape, ...]:
    """What answers are made of, by name."""
    known: dict[str, Any] = api.get_openapi_schema()["components"]["schemas"]
    named = {each.shape for section in sections() for each in section.endpoints if each.shape}
    return tuple(
        Shape(name, str(known[name].get("description", "")), tuple(_values(known[name], known)))
        for name in sorted(named)
    )


def _answered(response: Mapping[str, Any], shapes: Mapping[str, Any]) -> tuple[str, str]:
    """What is answered in words, and the name of its shape (empty for none)."""
    for content in response.get("content", {}).values():
        schema, words = content.get("schema", {}), ""
        if schema.get("type") == "array":
            schema, words = schema.get("items", {}), "a list of "
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        entries = shapes.get(name, {}).get("properties", {}).get("items", {}).get("items", {})
        if "next" in shapes.get(name, {}).get("properties", {}):
            name, words = str(entries.get("$ref", "")).rpartition("/")[2], "a page of "
        return (words, name) if name else ("an object", "")
    return "", ""


def _endpoint(path: str, method: str, entry: Mapping[str, Any], shapes: Mapping[str, Any], right: Any) -> Endpoint:
    first, _blank, rest = " ".join(entry.get("description", "").split()).partition(". ")
    good = next((status for status in entry["responses"] if int(status) < 300), "200")
    body = _content(entry.get("requestBody"), shapes)
    words, shape = _answered(entry["responses"].get(good, {}), shapes)
    return Endpoint(
        name=entry["operationId"],
        method=method.upper(),
        path=path.removeprefix("/api/v1"),
        title=first.rstrip("."),
        text=rest,
        right=str(right.value) if right else "",
        parameters=tuple(_parameter(each, shapes) for each in entry.get("parameters", ())),
        body=tuple(_values(body, shapes)) if body else (),
        answer=words,
        shape=shape,
        status=good,
        example=_example(path, method, body, shapes),
    )


def _content(part: Mapping[str, Any] | None, shapes: Mapping[str, Any]) -> dict[str, Any] | None:
    for content in (part or {}).get("content", {}).values():
        return _resolved(content.get("schema", {}), shapes)
    return None


def _parameter(each: Mapping[str, Any], shapes: Mapping[str, Any]) -> Value:
    shape = _resolved(each["schema"], shapes)
    where = "" if each["in"] == "query" else f" ({each['in']})"
    return Value(
        each["name"],
        _kind(shape, shapes) + where,
        _text({**each, **each["schema"]}, shape),
        each.get("required", False),
    )


def _values(shape: Mapping[str, Any], shapes: Mapping[str, Any], depth: int = 0) -> Iterator[Value]:
    """The fields of an object, those of objects in it behind them."""
    shape = _inner(shape, shapes)
    required = set(shape.get("required", ()))
    for name, field in shape.get("properties", {}).items():
        resolved = _resolved(field, shapes)
        yield Value(name, _kind(resolved, shapes), _text(field, resolved), name in required, depth)
        if depth < _DEEPEST:
            yield from _values(resolved, shapes, depth + 1)


def _resolved(shape: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Without references, and of "this or null" this."""
    if name := shape.get("$ref"):
        shape = {**shapes[name.rpartition("/")[2]], **{key: shape[key] for key in shape if key != "$ref"}}
    for choice in ("allOf", "anyOf"):
        options = [each for each in shape.get(choice, ()) if each.get("type") != "null"]
        if len(options) == 1:
            return {**_resolved(options[0], shapes), "optional": True}
    return dict(shape)


def _inner(shape: Mapping[str, Any], shapes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entries of a list."""
    while shape.get("type") == "array":
        shape = _resolved(shape.get("items", {}), shapes)
    return shape


def _kind(shape: Mapping[str, Any], shapes: Mapping[str, Any]) -> str:
    if choices := shape.get("enum"):
        return " | ".join(str(choice) for choice in choices if choice != "")
    if options := [each for each in shape.get("anyOf", ()) if each.get("type") != "null"]:
        return " or ".join(_kind(_resolved(each, shapes), shapes) for each in options)
    kind = str(shape.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(_resolved(shape.get('items', {}), shapes), shapes)}"
    if "const" in shape:
        return str(shape["const"])
    return str(shape.get("format", kind)).replace("date-time", "time")


def _text(field: Mapping[str, Any], resolved: Mapping[str, Any]) -> str:
    parts = [str(field.get("description") or resolved.get("description") or "")]
    if "default" in field and field["default"] not in ("", None, [], {}, False):
        parts.append(f"Usually {field['default']}.")
    if "minimum" in resolved and "maximum" in resolved:
        parts.append(f"From {resolved['minimum']:,} to {resolved['maximum']:,}.")
    return " ".join(part for part in parts if part)


def _example(path: str, method: str, body: Mapping[str, Any] | None, shapes: Mapping[str, Any]) -> str:
    """A call for a shell; fields with an example, and those that must be there."""
    lines = [f'curl -X {method.upper()} -H "Authorization: Bearer $TOKEN"' if method != "get" else "curl -H"]
    if method == "get":
        lines = ['curl -H "Authorization: Bearer $TOKEN"']
    if body and body.get("properties"):
        required = set(body.get("required", ()))
        sent = {
            name: _sample(field, shapes)
            for name, field in body["properties"].items()
            if name in required or field.get("examples")
        }
        lines.append(f"  -H 'Content-Type: application/json' -d '{json.dumps(sent, ensure_ascii=False)}'")
    return " \\\n".join([*lines, f'  "$SSM_URL{path}"'])


def _sample(field: Mapping[str, Any], shapes: Mapping[str, Any], depth: int = 0) -> Any:
    shape = _resolved(field, shapes)
    if examples := field.get("examples") or shape.get("examples"):
        return examples[0]
    if choices := shape.get("enum"):
        return next((choice for choice in choices if choice), choices[0])
    kind = shape.get("type")
    if kind == "array":
        return [_sample(shape.get("items", {}), shapes, depth + 1)] if depth < _DEEPEST else []
    if kind == "object" and depth < _DEEPEST:
        required = shape.get("required", ())
        return {name: _sample(shape["properties"][name], shapes, depth + 1) for name in required}
    if shape.get("format") == "uuid":
        return "…"
    return {"integer": 1, "number": 1.0, "boolean": True, "object": {}}.get(str(kind), "…")
