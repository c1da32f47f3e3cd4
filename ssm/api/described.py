"""The API as its OpenAPI document describes it: also what the framework does not find out by itself."""

from typing import Any, Final

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from ssm.api.tags import TITLES

# What is answered in another form than JSON, by operation.
ANSWERS: Final = {
    "containers_logs": "application/x-ndjson",
    "operations_follow": "application/x-ndjson",
    "events_follow": "application/x-ndjson",
    "devices_test": "application/x-ndjson",
    "devices_test_new": "application/x-ndjson",
    "registries_test": "application/x-ndjson",
    "registries_test_new": "application/x-ndjson",
    "backups_download": "application/zstd",
}
_KEY: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Of your own: the same request with the same key gets the first answer again, for a day.",
    "schema": {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"},
    "example": "nightly-2026-01-31",
}


class DescribedAPI(NinjaAPI):
    """NinjaAPI whose description tells of streams, of idempotency keys, and what each part is about."""

    _made: OpenAPISchema | None = None

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> OpenAPISchema:
        """The OpenAPI document; made once, as that takes a second. Not to be changed."""
        if self._made is None or path_prefix is not None:
            made = self._make(path_prefix, path_params)
            if path_prefix is not None:
                return made
            self._made = made
        return self._made

    def _make(self, path_prefix: str | None, path_params: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        repeatable = {
            str(each.operation_id)
            for _prefix, router in self._routers
            for view in router.path_operations.values()
            for each in view.operations
            if getattr(each.view_func, "is_idempotent", False)
        }
        for methods in schema["paths"].values():
            for entry in methods.values():
                name = entry["operationId"]
                if kind := ANSWERS.get(name):
                    good = next(status for status in entry["responses"] if int(status) < 300)
                    content = entry["responses"][good]["content"]
                    content[kind] = content.pop("application/json")
                if name in repeatable:
                    entry.setdefault("parameters", []).append(dict(_KEY))
        schema["tags"] = [{"name": name, "description": title} for name, title in TITLES.items()]
        return schema
