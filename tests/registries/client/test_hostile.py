"""Registries that lie, flood, stall and lure: nothing leaks, nothing hangs, and each gives a clear error."""

import asyncio
import base64
import contextlib
import dataclasses
import gzip
import json
import time
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from registries.client import IndexManifest, LegacyManifest, RegistryClient
from registries.errors import (
    BadResponse,
    DigestMismatch,
    Forbidden,
    NotFound,
    RegistryError,
    RegistryTimeout,
    RegistryUnsupported,
    TooLarge,
    Unavailable,
    Unreachable,
    UnsafeAddress,
    UnsafeRealm,
    UnsafeRedirect,
)
from registries.providers import Access
from tests.registries.client.conftest import QUICK, FakeClock, MakeClient
from tests.registries.servers.contents import Contents, problem
from tests.registries.servers.images import DOCKER_MANIFEST, build, digest_of
from tests.registries.servers.providers import TokenAuth, install_hub
from tests.registries.servers.serving import Asked, Reply
from tests.registries.servers.stub import PUBLIC_ADDRESS, Stub

HOST = "registry.hostile.test"
EVIL = "evil.test"
SECRET = "s3cret-of-the-account"
NAME = "team/app"


@pytest.fixture
def access(stub: Stub) -> Access:
    """An account at the hostile registry."""
    return stub.access(HOST, login="ada", password=SECRET)


@pytest.fixture(autouse=True)
def within_seconds() -> Iterator[None]:
    """Whatever a registry does, a call ends."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 60


async def caught(action: Awaitable[Any]) -> RegistryError:
    """The error of an action, which must not tell any secret in whatever way it is printed."""
    with pytest.raises(RegistryError) as info:
        await action
    error = info.value
    printed = f"{error!r} {error} {error.details} {''.join(traceback.format_exception(error))}"
    assert SECRET not in printed
    assert "Basic YWRh" not in printed
    assert error.code
    assert len(error.message) < 600
    return error


def serving(reply: Reply | Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
    """A handler that always gives this reply."""
    return reply if callable(reply) else lambda _asked: reply


def bearer(realm: str, extra: str = "") -> Reply:
    """A 401 that names a token server."""
    return Reply(401, b"", [("WWW-Authenticate", f'Bearer realm="{realm}",service="x"{extra}')])


# Token servers


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest/meta-data/",
        f"http://{HOST}/token",
        f"https://user:pw@{HOST}/token",
        f"https://{HOST}@{EVIL}/token",
        f"https://{HOST}/token#fragment",
        "file:///etc/passwd",
        "ftp://registry.hostile.test/",
        "//evil.test/token",
        "/token",
        "https://",
        "https:///token",
        "https://[::1/token",
        f"https://{HOST}\\@{EVIL}/",
        f"https://{HOST}:99999/",
        "javascript:alert(1)",
        "a" * 5000,
    ],
)
async def test_realm_that_is_no_safe_url_is_not_asked(
    stub: Stub, make_client: MakeClient, access: Access, realm: str
) -> None:
    stub.serve(HOST, serving(bearer(realm)))
    stub.serve(EVIL, serving(Reply.json({"token": "x"})))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))
        anonymous = await caught(client.tags(dataclasses.replace(access, credentials=None), NAME))

    assert error.code == anonymous.code == "unsafe_realm"
    assert {asked.path for asked in stub.requests} == {f"/v2/{NAME}/tags/list"}


@pytest.mark.parametrize(
    "realm",
    [f"https://{EVIL}/token", f"https://{HOST}.{EVIL}/token", f"https://x{HOST}/token", "https://ghcr.io/token"],
)
async def test_realm_on_another_host_never_sees_the_credentials(
    stub: Stub, make_client: MakeClient, access: Access, realm: str
) -> None:
    other = realm.split("/")[2]
    stub.serve(HOST, serving(bearer(realm)))
    stub.serve(other, serving(Reply.json({"token": "x"})))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, UnsafeRealm)
    assert other in error.message
    assert "trusted hosts" in error.fix
    assert not stub.requests_to(other)


async def test_pair_of_one_registry_is_worth_nothing_to_another(stub: Stub, make_client: MakeClient) -> None:
    install_hub(stub)
    stub.serve(HOST, serving(bearer("https://auth.docker.io/token")))

    async with make_client() as client:
        error = await caught(client.tags(stub.access(HOST, login="ada", password=SECRET), NAME))
        posing = dataclasses.replace(stub.access(HOST, login="ada", password=SECRET), provider="hub")
        confused = await caught(client.tags(posing, NAME))

    assert error.code == confused.code == "unsafe_realm"
    assert not stub.requests_to("auth.docker.io")


async def test_realm_on_another_host_is_asked_without_anything_when_anonymous(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    auth = TokenAuth(Contents(), f"https://{EVIL}/token", "x")
    auth.contents.push(NAME, ["1"])
    stub.serve(HOST, auth.registry)
    stub.serve(EVIL, auth.token)

    async with make_client() as client:
        found = await client.tags(dataclasses.replace(access, credentials=None), NAME)

    assert found.tags == ("1",)
    assert not stub.secrets_seen_by(EVIL, SECRET)


@pytest.mark.parametrize(
    "address", ["10.0.0.5", "127.0.0.1", "169.254.169.254", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0"]
)
async def test_realm_that_resolves_to_a_private_address_is_not_asked(
    stub: Stub, make_client: MakeClient, access: Access, address: str
) -> None:
    stub.serve(HOST, serving(bearer(f"https://{EVIL}/token")))
    stub.serve(EVIL, serving(Reply.json({"token": "x"})), addresses=[address])
    configured = dataclasses.replace(access, credentials=None, is_configured=True)

    async with make_client() as client:
        error = await caught(client.tags(configured, NAME))

    assert isinstance(error, UnsafeAddress)
    assert not stub.requests_to(EVIL)


async def test_token_server_that_redirects_is_not_followed(stub: Stub, make_client: MakeClient, access: Access) -> None:
    def registry(asked: Asked) -> Reply:
        if asked.path == "/token":
            return Reply(307, b"", [("Location", f"https://{EVIL}/token")])
        return bearer(f"https://{HOST}/token")

    stub.serve(HOST, registry)
    stub.serve(EVIL, serving(Reply.json({"token": "x"})))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, UnsafeRedirect)
    assert not stub.requests_to(EVIL)


@pytest.mark.parametrize(
    "scope",
    ["*", "registry:catalog:*", f"repository:{NAME}:pull,push,delete", "repository:other/app:pull", "", "a b c", "::"],
)
async def test_wider_scope_of_a_challenge_is_replaced(
    stub: Stub, make_client: MakeClient, access: Access, scope: str
) -> None:
    auth = TokenAuth(Contents(), f"https://{HOST}/token", "x", {"ada": SECRET})
    auth.scope = scope
    auth.contents.push(NAME, ["1"])
    stub.serve(HOST, lambda asked: auth.token(asked) if asked.path == "/token" else auth.registry(asked))

    async with make_client() as client:
        await client.tags(access, NAME)

    assert [asked.query["scope"] for asked in stub.requests if asked.path == "/token"] == [f"repository:{NAME}:pull"]


async def test_service_with_odd_characters_stays_one_parameter(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    auth = TokenAuth(Contents(), f"https://{HOST}/token?mode=a%20b", "x&scope=*#é", {"ada": SECRET})
    auth.contents.push(NAME, ["1"])
    stub.serve(HOST, lambda asked: auth.token(asked) if asked.path == "/token" else auth.registry(asked))

    async with make_client() as client:
        with contextlib.suppress(RegistryError):  # what counts is what was asked
            await client.tags(access, NAME)

    for asked in stub.requests:
        if asked.path == "/token":
            assert asked.query["mode"] == "a b"
            assert asked.query["scope"] == f"repository:{NAME}:pull"


async def test_comma_in_quotes_and_two_challenges_in_a_header_are_understood(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    auth = TokenAuth(Contents(), f"https://{HOST}/token", "x", {"ada": SECRET})
    auth.contents.push(NAME, ["1"])

    def registry(asked: Asked) -> Reply:
        if asked.path == "/token":
            return auth.token(asked)
        reply = auth.registry(asked)
        if reply.status == 401:
            scope = f'scope="repository:{NAME}:pull,push"'
            mixed = f'Basic realm="a, b=c", bEaReR realm="https://{HOST}/token" , service="x",{scope}, Negotiate abc=='
            return Reply(401, b"", [("WWW-Authenticate", mixed)])
        return reply

    stub.serve(HOST, registry)

    async with make_client() as client:
        assert (await client.tags(access, NAME)).tags == ("1",)

    # Basic was offered too, to a registry that would have seen the password itself.
    assert not [asked for asked in stub.requests if asked.authorization.startswith("Basic") and asked.path != "/token"]


@pytest.mark.parametrize("header", ["", "Bearer", "Digest realm=x", 'Bearer service="x"', "\x80\xff", "," * 9000])
async def test_401_without_a_usable_challenge_is_an_error(
    stub: Stub, make_client: MakeClient, access: Access, header: str
) -> None:
    stub.serve(HOST, serving(Reply(401, b"", [("WWW-Authenticate", header)])))

    async with make_client() as client:
        await caught(client.tags(access, NAME))

    assert len(stub.requests) == 1


async def test_endless_401_ends(stub: Stub, make_client: MakeClient, access: Access) -> None:
    for error in ("invalid_token", "insufficient_scope", "", "other"):
        stub.reset()

        def registry(asked: Asked, error: str = error) -> Reply:
            if asked.path == "/token":
                return Reply.json({"token": f"t{len(stub.requests)}"})
            return bearer(f"https://{HOST}/token", f',error="{error}"')

        stub.serve(HOST, registry)
        async with make_client() as client:
            assert (await caught(client.tags(access, NAME))).code == "forbidden"
        assert len(stub.requests) <= 5


# Redirects


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://127.0.0.1/", "unsafe_redirect"),
        ("https://127.0.0.1/", "unsafe_redirect"),
        (f"http://{HOST}/v2/", "unsafe_redirect"),
        ("https://inside.test/", "unsafe_redirect"),
        ("https://meta.test/", "unsafe_redirect"),
        ("file:///etc/passwd", "unsafe_redirect"),
        ("https://user:pw@evil.test/", "unsafe_redirect"),
        ("", "unsafe_redirect"),
        ("https://[", "unsafe_redirect"),
        (f"/v2/{NAME}/tags/list?n=1000", "unsafe_redirect"),
    ],
)
async def test_redirect_to_where_nobody_may_go_is_refused(
    stub: Stub, make_client: MakeClient, access: Access, location: str, code: str
) -> None:
    reached = serving(Reply.json({"tags": ["stolen"]}))
    stub.serve(HOST, serving(Reply(307, b"", [("Location", location)])))
    stub.serve("127.0.0.1", reached, addresses=["127.0.0.1"])
    stub.serve("inside.test", reached, addresses=["192.168.1.1"])
    stub.serve("meta.test", reached, addresses=["169.254.169.254"])
    configured = dataclasses.replace(access, is_configured=True)

    async with make_client() as client:
        for used in (access, configured):
            error = await caught(client.tags(used, NAME))
            assert error.code == code

    assert {asked.host for asked in stub.requests} == {HOST}


async def test_redirect_to_another_host_takes_no_credentials_along_and_none_are_added_there(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    def registry(asked: Asked) -> Reply:
        if asked.authorization:
            return Reply(307, b"", [("Location", f"https://{EVIL}{asked.target}")])
        return Reply(401, b"", [("WWW-Authenticate", 'Basic realm="x"')])

    stub.serve(HOST, registry)
    stub.serve(EVIL, serving(Reply(401, b"", [("WWW-Authenticate", 'Basic realm="x"')])))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, Forbidden)
    assert stub.requests_to(EVIL)
    assert not stub.secrets_seen_by(EVIL, SECRET)


async def test_redirect_to_another_port_of_the_same_host_takes_no_credentials_along(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    def registry(asked: Asked) -> Reply:
        if asked.authorization:
            return Reply(302, b"", [("Location", f"https://{HOST}:8443{asked.target}")])
        return Reply(401, b"", [("WWW-Authenticate", 'Basic realm="x"')])

    stub.serve(HOST, registry)
    stub.serve(f"{HOST}:8443", serving(Reply.json({"tags": ["1"]})))

    async with make_client() as client:
        with_port = dataclasses.replace(access, is_configured=False)
        try:
            await client.tags(with_port, NAME)
        except RegistryError as error:
            assert "does not speak TLS" not in error.message

    assert not stub.secrets_seen_by(f"{HOST}:8443", SECRET)


async def test_plain_http_registry_may_not_lead_from_https_back_to_http(stub: Stub, make_client: MakeClient) -> None:
    host = f"{HOST}:8080"
    stub.serve(host, lambda _asked: Reply(302, b"", [("Location", "https://store.test/tags")]))
    stub.serve("store.test", lambda _asked: Reply(302, b"", [("Location", f"http://{host}/tags")]))
    access = dataclasses.replace(stub.access(host), base_url=f"http://{host}", allow_http=True, is_configured=True)

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, UnsafeRedirect)
    assert "from https to plain http" in error.message
    assert [asked.host for asked in stub.requests] == [host, "store.test"]


async def test_redirects_in_circles_and_without_end_are_cut(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    count = iter(range(1000))
    stub.serve(HOST, lambda _asked: Reply(302, b"", [("Location", f"/v2/{NAME}/tags/list?page={next(count)}")]))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, UnsafeRedirect)
    assert len(stub.requests) == 6


async def test_blob_from_a_store_elsewhere_is_read_without_credentials(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    built = build("blob")
    config = built.images[0]

    def registry(asked: Asked) -> Reply:
        if not asked.authorization:
            return Reply(401, b"", [("WWW-Authenticate", 'Basic realm="x"')])
        return Reply(307, b"", [("Location", "https://store.test/blob?X-Amz-Signature=abc")])

    def store(asked: Asked) -> Reply:
        # Such stores answer 400 to two kinds of authentication at once.
        return Reply(400) if asked.authorization else Reply(200, config.config)

    stub.serve(HOST, registry)
    stub.serve("store.test", store)

    async with make_client() as client:
        found = await client.config(access, NAME, config.config_digest)

    assert found.os == "linux"
    assert not stub.secrets_seen_by("store.test", SECRET)


async def test_client_certificate_goes_to_its_registry_only(stub: Stub, make_client: MakeClient) -> None:
    certificate = stub.authority.issue("client.test", is_client=True).both
    stub.serve(HOST, serving(Reply(307, b"", [("Location", f"https://{EVIL}/tags")])))
    stub.serve(EVIL, serving(Reply.json({"tags": ["1"]})))
    access = dataclasses.replace(stub.access(HOST), client_certificate=certificate)

    async with make_client() as client:
        assert (await client.tags(access, NAME)).tags == ("1",)

    assert [asked.has_client_certificate for asked in stub.requests_to(HOST)] == [True]
    assert [asked.has_client_certificate for asked in stub.requests_to(EVIL)] == [False]


# Pages


async def test_endless_pages_are_cut_and_marked(stub: Stub, make_client: MakeClient, access: Access) -> None:
    def registry(asked: Asked) -> Reply:
        number = int(asked.query.get("last", "0")) + 1
        link = f'<{asked.path}?last={number}&n=1>; rel="next"'
        return Reply.json({"tags": [str(number)]}, Link=link)

    stub.serve(HOST, registry)

    async with make_client() as client:
        found = await client.tags(access, NAME)

    assert found.is_truncated
    assert len(found.tags) == len(stub.requests) == QUICK.pages


@pytest.mark.parametrize(
    "link",
    [
        '</v2/team/app/tags/list?n=1000>; rel="next"',
        '<?n=1000>; rel="next"',
        "<https://registry.hostile.test/v2/team/app/tags/list?n=1000>; rel=next",
    ],
)
async def test_page_that_names_itself_as_next_ends_the_list(
    stub: Stub, make_client: MakeClient, access: Access, link: str
) -> None:
    stub.serve(HOST, serving(Reply.json({"tags": ["1"]}, Link=link)))

    async with make_client() as client:
        found = await client.tags(access, NAME)

    assert (found.tags, found.is_truncated) == (("1",), True)
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "link",
    [
        f"https://{EVIL}/v2/{NAME}/tags/list?last=1",
        f"//{EVIL}/v2/{NAME}/tags/list?last=1",
        "http://169.254.169.254/latest",
        "/v2/other/app/tags/list?last=1",
        "/admin",
        f"/v2/{NAME}/tags/list/../../../../admin",
        "file:///etc/passwd",
    ],
)
async def test_next_page_elsewhere_is_not_asked_and_the_list_is_marked(
    stub: Stub, make_client: MakeClient, access: Access, link: str
) -> None:
    stub.serve(HOST, serving(Reply.json({"tags": ["1"]}, Link=f'<{link}>; rel="next"')))
    stub.serve(EVIL, serving(Reply.json({"tags": ["stolen"]})))

    async with make_client() as client:
        found = await client.tags(access, NAME)

    assert (found.tags, found.is_truncated) == (("1",), True)
    assert len(stub.requests) == 1


async def test_empty_page_ends_the_list(stub: Stub, make_client: MakeClient, access: Access) -> None:
    link = f'</v2/{NAME}/tags/list?last=x>; rel="next"'
    stub.serve(HOST, serving(Reply.json({"tags": []}, Link=link)))

    async with make_client() as client:
        found = await client.tags(access, NAME)

    assert (found.tags, found.is_truncated) == ((), True)
    assert len(stub.requests) == 1


async def test_more_tags_than_allowed_are_cut(stub: Stub, make_client: MakeClient, access: Access) -> None:
    stub.serve(HOST, serving(Reply.json({"tags": [str(number) for number in range(500)]})))

    async with make_client() as client:
        found = await client.tags(access, NAME)

    assert (len(found.tags), found.is_truncated) == (QUICK.tags, True)


@pytest.mark.parametrize("tags", [None, [None], [1, {}, "ok"], ["sha256:" + "0" * 64, "ok"], ["a b", "ok", "-x", "é"]])
async def test_odd_tags_are_left_out(stub: Stub, make_client: MakeClient, access: Access, tags: object) -> None:
    stub.serve(HOST, serving(Reply.json({"name": NAME, "tags": tags})))

    async with make_client() as client:
        found = await client.tags(access, NAME)

    assert set(found.tags) <= {"ok"}


async def test_signatures_are_no_tags(stub: Stub, make_client: MakeClient, access: Access) -> None:
    name = f"sha256-{'a' * 64}"
    stub.serve(HOST, serving(Reply.json({"tags": [name, f"{name}.sig", f"{name}.att", f"{name}.sbom", "sha256-1"]})))

    async with make_client() as client:
        assert (await client.tags(access, NAME)).tags == ("sha256-1",)


# Sizes and times


async def endless(part: bytes, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    """A body that never ends."""
    while True:
        yield part
        await asyncio.sleep(pause_s)


async def test_endless_body_is_cut_off(stub: Stub, make_client: MakeClient, access: Access) -> None:
    stub.serve(HOST, lambda _asked: Reply(200, stream=endless(b'{"tags":["' + b"a" * 8192)))

    async with make_client() as client:
        for action in (
            client.tags(access, NAME),
            client.manifest(access, NAME, "1"),
            client.config(access, NAME, f"sha256:{'0' * 64}"),
        ):
            assert isinstance(await caught(action), TooLarge)


async def test_hundred_megabytes_are_cut_off_by_the_real_limit(stub: Stub, access: Access) -> None:
    parts = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal parts
        for _ in range(1600):
            parts += 1
            yield b" " * 65_536

    stub.serve(HOST, lambda _asked: Reply(200, stream=body()))

    async with RegistryClient(stub.connector()) as client:
        assert isinstance(await caught(client.tags(access, NAME)), TooLarge)

    assert parts < 400


async def test_declared_length_above_the_limit_is_not_read_at_all(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    headers = [("Content-Length", "100000000000")]
    stub.serve(HOST, lambda _asked: Reply(200, stream=endless(b"x"), headers=headers))

    async with make_client() as client:
        assert isinstance(await caught(client.tags(access, NAME)), TooLarge)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_bomb_never_unfolds(
    stub: Stub, make_client: MakeClient, access: Access, encoding: str
) -> None:
    raw = b" " * 50_000_000
    bomb = gzip.compress(raw) if encoding == "gzip" else zlib.compress(raw)
    assert len(bomb) < QUICK.tags_bytes
    stub.serve(HOST, serving(Reply(200, bomb, [("Content-Encoding", encoding)])))

    tracemalloc.start()
    try:
        async with make_client() as client:
            assert isinstance(await caught(client.tags(access, NAME)), TooLarge)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x"])
async def test_unknown_packing_is_a_bad_response(
    stub: Stub, make_client: MakeClient, access: Access, encoding: str
) -> None:
    stub.serve(HOST, serving(Reply(200, b'{"tags":[]}', [("Content-Encoding", encoding)])))

    async with make_client() as client:
        assert isinstance(await caught(client.tags(access, NAME)), BadResponse)


async def test_packed_list_is_unpacked_and_broken_packing_is_told(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    packed = gzip.compress(b'{"tags":["1"]}')
    async with make_client() as client:
        stub.serve(HOST, serving(Reply(200, packed, [("Content-Encoding", "gzip")])))
        assert (await client.tags(access, NAME)).tags == ("1",)
        for broken in (packed[:-9], b"no gzip", packed[:15]):
            stub.serve(HOST, serving(Reply(200, broken, [("Content-Encoding", "gzip")])))
            assert isinstance(await caught(client.tags(access, NAME)), BadResponse)


async def test_slow_drip_ends_with_the_whole_call(stub: Stub, make_client: MakeClient, access: Access) -> None:
    limits = dataclasses.replace(QUICK, overall_s=1.5)
    stub.serve(HOST, lambda _asked: Reply(200, stream=endless(b" ", 0.05)))

    async with make_client(limits) as client:
        started = time.monotonic()
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, RegistryTimeout)
    assert time.monotonic() - started < 15


async def test_silence_ends_with_the_read_limit(stub: Stub, make_client: MakeClient, access: Access) -> None:
    limits = dataclasses.replace(QUICK, read_s=0.3)
    stub.serve(HOST, lambda _asked: Reply(200, stream=endless(b"", 60)))

    async with make_client(limits) as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, RegistryTimeout)
    assert len(stub.requests) == 1


async def test_slow_pages_end_with_the_whole_call(stub: Stub, make_client: MakeClient, access: Access) -> None:
    async def registry(asked: Asked) -> Reply:
        await asyncio.sleep(0.2)
        number = int(asked.query.get("last", "0")) + 1
        return Reply.json({"tags": [str(number)]}, Link=f'<?last={number}>; rel="next"')

    stub.serve(HOST, registry)
    limits = dataclasses.replace(QUICK, overall_s=1)

    async with make_client(limits) as client:
        assert isinstance(await caught(client.tags(access, NAME)), RegistryTimeout)


async def test_one_origin_takes_four_calls_at_once_and_a_stalled_one_holds_up_no_other(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    running, most = 0, 0
    # Of the server's own loop; its requests wait until four are there, and a little for a fifth that must not come.
    four = asyncio.Event()

    async def registry(_asked: Asked) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 4:
            four.set()
        await four.wait()
        await asyncio.sleep(0.05)
        running -= 1
        return Reply.json({"tags": ["1"]})

    stub.serve(HOST, registry)
    stub.serve("other.test", serving(Reply.json({"tags": ["1"]})))

    async with make_client() as client:
        tasks = [asyncio.create_task(client.tags(access, f"team/app{number}")) for number in range(12)]
        await client.tags(stub.access("other.test"), NAME)
        assert not all(task.done() for task in tasks)
        await asyncio.gather(*tasks)

    assert most == 4


# Lies in bodies


async def test_wrong_digest_is_never_believed(stub: Stub, make_client: MakeClient, access: Access) -> None:
    built = build("honest")
    other = digest_of(b"other")

    def registry(asked: Asked) -> Reply:
        headers = [("Content-Type", built.media_type), ("Docker-Content-Digest", other)]
        if "/blobs/" in asked.path:
            return Reply(200, b"not the configuration")
        return Reply(200, built.content, headers)

    stub.serve(HOST, registry)

    async with make_client() as client:
        assert isinstance(await caught(client.manifest(access, NAME, "1")), DigestMismatch)
        assert isinstance(await caught(client.manifest(access, NAME, other)), DigestMismatch)
        assert isinstance(await caught(client.head(access, NAME, built.digest)), DigestMismatch)
        assert isinstance(await caught(client.config(access, NAME, built.images[0].config_digest)), DigestMismatch)
        # By digest, the content itself decides, whatever the header says.
        assert (await client.manifest(access, NAME, built.digest)).digest == built.digest


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "0" * 32, "x" * 5000, "sha256:" + "G" * 64])
async def test_head_without_a_real_digest_asks_by_get(
    stub: Stub, make_client: MakeClient, access: Access, digest: str
) -> None:
    built = build("no digest")
    stub.serve(HOST, serving(Reply(200, built.content, [("Docker-Content-Digest", digest)])))

    async with make_client() as client:
        found = await client.head(access, NAME, "1")

    assert found.digest == built.digest
    assert [asked.method for asked in stub.requests] == ["HEAD", "GET"]


async def test_head_that_is_not_supported_is_replaced_by_get(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    contents = Contents()
    contents.knows_head = False
    built = contents.push(NAME, ["1"])
    stub.serve(HOST, contents.answer)

    async with make_client() as client:
        assert (await client.head(access, NAME, "1")).digest == built.digest


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/html", "", DOCKER_MANIFEST])
async def test_wrong_content_type_does_not_matter(
    stub: Stub, make_client: MakeClient, access: Access, content_type: str
) -> None:
    built = build("typed", platforms=("linux/amd64", "linux/arm64"), attested=True)
    stub.serve(HOST, serving(Reply(200, built.content, [("Content-Type", content_type)])))

    async with make_client() as client:
        manifest = await client.manifest(access, NAME, "1")

    assert isinstance(manifest, IndexManifest)
    assert [entry.architecture for entry in manifest.platforms] == ["amd64", "arm64"]


async def test_schema_1_is_marked_as_legacy(stub: Stub, make_client: MakeClient, access: Access) -> None:
    history = [{"v1Compatibility": json.dumps({"created": "2015-10-31T22:22:56.015925234Z", "os": "linux"})}]
    body = {"schemaVersion": 1, "architecture": "amd64", "fsLayers": [], "history": history, "signatures": [{}]}
    digest = digest_of(b"signed payload")
    stub.serve(HOST, serving(Reply(200, json.dumps(body).encode(), [("Docker-Content-Digest", digest)])))

    async with make_client() as client:
        manifest = await client.manifest(access, NAME, "1")

    assert isinstance(manifest, LegacyManifest)
    assert manifest.digest == digest
    assert manifest.created is not None
    assert manifest.created.year == 2015


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Log in</body></html>",
        b"null",
        b"[]",
        b"{}",
        b"[" * 40_000,
        b'{"a":' * 8_000,
        b'{"schemaVersion": 2, "manifests": 5}',
        b'{"schemaVersion": 2, "config": {"digest": "x"}, "layers": []}',
        b'{"schemaVersion": 2, "config": {"digest": 1e999}, "layers": [1]}',
        b'{"schemaVersion": 2, "size": ' + b"9" * 9000 + b"}",
        b'{"schemaVersion": "2"}',
        b"\xff\xfe\x00",
        b'{"schemaVersion": NaN}',
    ],
)
async def test_manifest_that_is_none_is_a_bad_response(
    stub: Stub, make_client: MakeClient, access: Access, body: bytes
) -> None:
    stub.serve(HOST, serving(Reply(200, body)))

    async with make_client() as client:
        assert isinstance(await caught(client.manifest(access, NAME, "1")), BadResponse)
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, BadResponse)


async def test_error_pages_are_quoted_short_and_clean(stub: Stub, make_client: MakeClient, access: Access) -> None:
    nasty = "\x1b[31m<script>alert(1)</script>\u202e" + "x" * 5000
    stub.serve(HOST, serving(problem(404, "NAME_UNKNOWN", nasty)))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, NotFound)
    assert "\x1b" not in error.message
    assert "\u202e" not in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
async def test_error_that_echoes_the_request_shows_no_secret(
    stub: Stub, make_client: MakeClient, access: Access, status: int
) -> None:
    def echo(asked: Asked) -> Reply:
        if not asked.authorization:
            return Reply(401, b"", [("WWW-Authenticate", 'Basic realm="x"')])
        plain = base64.b64decode(asked.authorization.removeprefix("Basic ")).decode()
        return problem(status, "UNKNOWN", f"refused: {asked.authorization} = {plain}")

    stub.serve(HOST, echo)

    async with make_client(clock=FakeClock()) as client:
        error = await caught(client.tags(access, NAME))

    pair = base64.b64encode(f"ada:{SECRET}".encode()).decode()
    assert "refused: Basic" in error.message
    assert pair not in f"{error} {error.details}"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_broken_registry_is_tried_again_and_then_told(
    stub: Stub, make_client: MakeClient, access: Access, status: int
) -> None:
    stub.serve(HOST, serving(Reply(status, b"<html><title>Bad gateway</title></html>")))
    clock = FakeClock()

    async with make_client(clock=clock) as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, Unavailable)
    assert "Bad gateway" in error.message
    assert len(stub.requests) == (2 if status == 500 else 4)


async def test_registry_that_recovers_is_read(stub: Stub, make_client: MakeClient, access: Access) -> None:
    answers = iter([Reply(503), Reply(503, b"", [("Retry-After", "2")]), Reply.json({"tags": ["1"]})])
    stub.serve(HOST, lambda _asked: next(answers))
    clock = FakeClock()

    async with make_client(dataclasses.replace(QUICK, overall_s=60), clock=clock) as client:
        assert (await client.tags(access, NAME)).tags == ("1",)

    assert clock.slept[1] == 2.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3600", 3600), ("99999999999", 86400), ("-5", 60), ("soon", 60), ("", 60), ("1e9", 60)],
)
async def test_retry_after_is_kept_to_within_a_day(
    stub: Stub, make_client: MakeClient, access: Access, header: str, seconds: int
) -> None:
    stub.serve(HOST, serving(Reply(429, b"", [("Retry-After", header)])))
    clock = FakeClock()

    async with make_client(clock=clock) as client:
        error = await caught(client.tags(access, NAME))

    assert error.code == "rate_limited"
    assert error.retry_at.timestamp() == clock.now() + seconds
    assert len(stub.requests) == 1


async def test_web_page_instead_of_a_registry_is_told_by_the_live_test(
    stub: Stub, make_client: MakeClient, access: Access
) -> None:
    for reply, code in (
        (Reply(404, b"<html>nothing here</html>"), "registry_unsupported"),
        (Reply(401, b"", [("WWW-Authenticate", "Negotiate")]), "registry_unsupported"),
        (Reply(302, b"", [("Location", "/login"), ("Content-Length", "0")]), "unsafe_redirect"),
    ):
        stub.serve(HOST, serving(reply))
        async with make_client() as client:
            steps = await client.test(access)
        assert (steps[0].state, steps[0].code) == ("failed", code)
        assert steps[1].state == "skipped"


async def test_certificate_for_another_name_is_refused(stub: Stub, make_client: MakeClient, access: Access) -> None:
    error = None
    async with make_client() as client:
        stub.serve(HOST, serving(Reply.json({"tags": []})))
        error = await caught(client.tags(dataclasses.replace(access, ca_pem=""), NAME))

    assert error.code == "tls"


async def test_cut_connection_is_unreachable_after_tries(stub: Stub, make_client: MakeClient, access: Access) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionResetError

    stub.serve(HOST, lambda _asked: Reply(200, stream=cut(), headers=[("Content-Length", "500")]))

    async with make_client() as client:
        error = await caught(client.tags(access, NAME))

    assert isinstance(error, Unreachable | BadResponse)


async def test_cookies_are_neither_kept_nor_sent(stub: Stub, make_client: MakeClient, access: Access) -> None:
    stub.serve(HOST, serving(Reply.json({"tags": ["1"]}, Set_Cookie="session=abc; Path=/")))

    async with make_client() as client:
        await client.tags(access, NAME)
        await client.tags(access, NAME)

    assert not [asked for asked in stub.requests if "cookie" in asked.headers]


async def test_every_request_names_the_product(stub: Stub, make_client: MakeClient, access: Access) -> None:
    stub.serve(HOST, serving(Reply.json({"tags": ["1"]})))

    async with make_client() as client:
        await client.tags(access, NAME)

    assert stub.requests[0].headers["user-agent"].startswith("SSM/0")


async def test_log_tells_method_path_and_status_and_no_secret(
    stub: Stub, make_client: MakeClient, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    auth = TokenAuth(Contents(page_size=1), f"https://{HOST}/token", "x", {"ada": SECRET})
    auth.contents.push(NAME, ["1", "2"])
    stub.serve(HOST, lambda asked: auth.token(asked) if asked.path == "/token" else auth.registry(asked))

    async with make_client() as client:
        await client.tags(access, NAME)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("registries")]
    assert any(line.startswith(f"GET {HOST} /v2/{NAME}/tags/list: 200 in ") for line in ours)
    everything = caplog.text
    assert SECRET not in everything
    assert "Basic " not in everything
    assert not [token for token in auth.issued if token in "\n".join(ours)]


async def test_two_names_and_one_unsafe_address_leave_the_safe_one(stub: Stub, make_client: MakeClient) -> None:
    stub.serve(HOST, serving(Reply.json({"tags": ["1"]})), addresses=["10.0.0.1", PUBLIC_ADDRESS])

    async with make_client() as client:
        assert (await client.tags(stub.access(HOST), NAME)).tags == ("1",)


async def test_unsupported_api_is_no_crash(stub: Stub, make_client: MakeClient, access: Access) -> None:
    stub.serve(HOST, serving(Reply(400, b"Client sent an HTTP request to an HTTPS server.")))

    async with make_client() as client:
        assert isinstance(await caught(client.tags(access, NAME)), RegistryUnsupported)
