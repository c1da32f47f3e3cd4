"""Whatever a registry answers, the client gives a result or an error of its own, and soon."""

import asyncio
import dataclasses
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registries.client import RegistryClient
from registries.errors import RegistryError
from tests.registries.client.conftest import QUICK, FakeClock
from tests.registries.servers.serving import Asked, Reply
from tests.registries.servers.stub import Stub

HOST = "registry.odd.test"
SECRET = "s3cret-of-the-account"
LIMITS = dataclasses.replace(QUICK, tries=2, overall_s=5)

_TEXTS = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
_URLS = st.sampled_from(
    [
        f"https://{HOST}/token",
        "https://evil.test/token",
        "/v2/",
        "//evil.test",
        "https://[",
        "",
        "?n=2",
        "a:b",
        "https://é",
    ]
)
_HEADERS = st.one_of(
    st.tuples(st.just("Location"), _URLS | _TEXTS),
    st.tuples(st.just("Link"), st.builds("<{}>; rel=next".format, _URLS) | _TEXTS),
    st.tuples(st.just("WWW-Authenticate"), st.builds('Bearer realm="{}",service="x"'.format, _URLS) | _TEXTS),
    st.tuples(st.just("WWW-Authenticate"), st.sampled_from(["Basic", 'Basic realm="x"', "Bearer realm=x"])),
    st.tuples(st.just("Docker-Content-Digest"), st.sampled_from([f"sha256:{'0' * 64}", "sha256:"]) | _TEXTS),
    st.tuples(st.just("Content-Encoding"), st.sampled_from(["gzip", "deflate", "br", "identity"])),
    st.tuples(st.sampled_from(["Retry-After", "X-Retry-After"]), st.sampled_from(["1", "0", "-1", "9e9"]) | _TEXTS),
    st.tuples(st.sampled_from(["RateLimit-Limit", "RateLimit-Remaining"]), st.sampled_from(["0;w=1", "5"]) | _TEXTS),
    st.tuples(st.just("Content-Type"), _TEXTS),
)
_BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            {"token": "t", "expires_in": -1},
            {"tags": ["1", None]},
            {"errors": [{"code": "DENIED", "message": "no"}]},
            {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{'0' * 64}", "platform": {"os": "linux"}}]},
            {"schemaVersion": 2, "config": {"digest": f"sha256:{'0' * 64}"}, "layers": [{"size": -1}]},
            {"schemaVersion": 1, "fsLayers": [], "history": [{"v1Compatibility": "{"}]},
        ]
    ).map(lambda body: json.dumps(body).encode()),
)
_REPLIES = st.builds(
    Reply,
    st.sampled_from(
        [200, 200, 200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 401, 403, 404, 405, 408, 429, 500, 503]
    ),
    _BODIES,
    st.lists(_HEADERS, max_size=4).map(lambda pairs: [(name, value.strip()) for name, value in pairs]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_REPLIES, min_size=1, max_size=4), st.booleans())
def test_any_answers_end_in_a_result_or_an_error_of_ours(stub: Stub, replies: list[Reply], anonymous: bool) -> None:
    stub.reset()
    count = 0

    def answer(asked: Asked) -> Reply:
        nonlocal count
        count += 1
        reply = replies[count % len(replies)]
        # Statuses without a body, as HTTP has it.
        return dataclasses.replace(reply, body=b"") if reply.status in (204, 304) else reply

    stub.serve(HOST, answer)
    stub.serve("evil.test", answer)
    access = stub.access(HOST) if anonymous else stub.access(HOST, login="ada", password=SECRET)

    async def ask() -> None:
        async with RegistryClient(stub.connector(), limits=LIMITS, clock=FakeClock()) as client:
            actions: list[Any] = [
                client.tags(access, "team/app"),
                client.head(access, "team/app", "1"),
                client.manifest(access, "team/app", "1"),
                client.config(access, "team/app", f"sha256:{'0' * 64}"),
                client.test(access, "team/app"),
            ]
            for action in actions:
                try:
                    await action
                except RegistryError as error:
                    assert SECRET not in f"{error} {error.details}"

    asyncio.run(asyncio.wait_for(ask(), 40))

    assert not stub.secrets_seen_by("evil.test", SECRET)
    assert count < 150
