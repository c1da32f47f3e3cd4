"""Where connections go, and with what: names, addresses, certificates."""

import asyncio
import dataclasses
import ssl
from collections.abc import Sequence

import pytest

from registries.client import Limits, RegistryClient, SystemConnector
from registries.client.connector import checked
from registries.errors import BadResponse, CredentialsInvalid, NotFound, TlsFailed, Unreachable, UnsafeAddress
from registries.providers import Access, anonymous_access
from tests.registries.client.conftest import MakeClient
from tests.registries.servers.authority import Authority
from tests.registries.servers.contents import Contents
from tests.registries.servers.distribution import RunningRegistry
from tests.registries.servers.fixtures import PushImage
from tests.registries.servers.providers import TokenAuth
from tests.registries.servers.serving import Asked, Reply, Server
from tests.registries.servers.stub import Stub


async def test_connection_goes_to_the_address_that_was_checked_and_keeps_the_name(
    tls_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(tls_registry, "tls/named", ["1"])
    port = tls_registry.url.rpartition(":")[2]
    asked: list[str] = []

    async def resolver(host: str, _port: int) -> Sequence[str]:
        # A name that answers with the metadata service from the second time on, as rebinding does.
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    access = dataclasses.replace(
        tls_registry.access(), host=f"registry.test:{port}", base_url=f"https://registry.test:{port}"
    )
    async with RegistryClient(SystemConnector(resolver)) as client:
        assert (await client.tags(access, "tls/named")).tags == ("1",)

    assert asked == ["registry.test"]


async def test_name_that_resolves_to_metadata_is_not_connected_to() -> None:
    async def resolver(_host: str, _port: int) -> Sequence[str]:
        return ["169.254.169.254"]

    access = dataclasses.replace(anonymous_access("registry.test"), is_configured=True)
    async with RegistryClient(SystemConnector(resolver)) as client:
        with pytest.raises(UnsafeAddress, match="link-local"):
            await client.tags(access, "a/b")


async def test_name_server_that_is_silent_is_not_waited_for() -> None:
    async def resolver(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    limits = Limits(connect_s=0.2, tries=1)
    async with RegistryClient(SystemConnector(resolver), limits=limits) as client:
        with pytest.raises(Unreachable, match="does not answer"):
            await client.tags(anonymous_access("registry.test"), "a/b")


async def test_dead_address_is_followed_by_the_next_one(tls_registry: RunningRegistry, push_image: PushImage) -> None:
    push_image(tls_registry, "tls/second", ["1"])
    port = tls_registry.url.rpartition(":")[2]

    async def resolver(_host: str, _port: int) -> Sequence[str]:
        return ["127.66.66.66", "127.0.0.1"]

    access = dataclasses.replace(
        tls_registry.access(), host=f"registry.test:{port}", base_url=f"https://registry.test:{port}/"
    )
    async with RegistryClient(SystemConnector(resolver)) as client:
        assert (await client.tags(access, "tls/second")).tags == ("1",)


async def test_name_that_no_server_knows_is_unreachable_without_tries() -> None:
    async with RegistryClient() as client:
        with pytest.raises(Unreachable, match="has no address"):
            await client.tags(anonymous_access("no-such-registry.invalid"), "a/b")

    assert client.requests_sent == 1


def test_only_allowed_addresses_of_a_name_are_left() -> None:
    addresses = ["10.0.0.1", "8.8.8.8", "169.254.169.254"]

    assert checked("x.test", addresses, allow_private=False) == ["8.8.8.8"]
    assert checked("x.test", addresses, allow_private=True) == ["10.0.0.1", "8.8.8.8"]
    with pytest.raises(UnsafeAddress, match="has no address"):
        checked("x.test", [], allow_private=True)


async def test_client_certificate_opens_a_registry_that_wants_one() -> None:
    authority, clients = Authority(), Authority()
    seen: list[bool] = []

    def registry(asked: Asked) -> Reply:
        seen.append(asked.has_client_certificate)
        return Reply.json({"tags": ["1"]})

    server = Server(registry, authority, client_ca=clients.pem)
    host = f"localhost:{server.port}"
    access = Access(host, "custom", f"https://{host}", ca_pem=authority.pem, is_configured=True)
    try:
        async with RegistryClient(limits=Limits(tries=1)) as client:
            with pytest.raises((TlsFailed, Unreachable)):
                await client.tags(access, "a/b")
            issued = clients.issue("ssm", is_client=True).both
            with_certificate = dataclasses.replace(access, client_certificate=issued)
            assert (await client.tags(with_certificate, "a/b")).tags == ("1",)
    finally:
        server.close()

    assert seen == [True]


@pytest.mark.parametrize("kind", ["expired", "other name", "other authority"])
async def test_bad_certificate_is_told_by_its_fault(kind: str) -> None:
    authority = Authority()
    names = ("elsewhere.test",) if kind == "other name" else ("localhost",)
    server = Server(lambda _asked: Reply.json({"tags": []}), _Fixed(authority, *names, expired=kind == "expired"))
    host = f"localhost:{server.port}"
    pem = Authority().pem if kind == "other authority" else authority.pem
    access = Access(host, "custom", f"https://{host}", ca_pem=pem, is_configured=True)
    try:
        async with RegistryClient() as client:
            with pytest.raises(TlsFailed) as caught:
                await client.tags(access, "a/b")
            insecure = dataclasses.replace(access, insecure_tls=True)
            assert (await client.tags(insecure, "a/b")).tags == ()
    finally:
        server.close()

    said = {"expired": "expired", "other name": "not valid for 'localhost'", "other authority": "verify|issuer|self"}
    assert caught.match(said[kind])
    assert caught.value.fix


class _Fixed(Authority):
    """Issues the same certificate whatever name is asked for."""

    def __init__(self, authority: Authority, *names: str, expired: bool) -> None:
        self._issued = authority.issue(*names, expired=expired)
        self.pem = authority.pem

    def issue(self, *_names: str, **_options: bool) -> object:  # type: ignore[override]
        """The one certificate."""
        return self._issued


async def test_insecure_tls_is_for_the_registry_and_its_trusted_hosts_only(stub: Stub, make_client: MakeClient) -> None:
    stub.serve("registry.test", lambda _asked: Reply(307, b"", [("Location", "https://store.test/tags")]))
    stub.serve("store.test", lambda _asked: Reply.json({"tags": ["1"]}))
    access = dataclasses.replace(stub.access("registry.test"), ca_pem="", insecure_tls=True)

    async with make_client() as client:
        with pytest.raises(TlsFailed, match=r"store\.test"):
            await client.tags(access, "a/b")
        named = dataclasses.replace(access, auth_hosts=("store.test",))
        assert (await client.tags(named, "a/b")).tags == ("1",)


async def test_environment_decides_nothing(
    stub: Stub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "SSL_CERT_FILE", "NETRC"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.delenv("SSL_CERT_FILE")
    stub.serve("registry.test", lambda _asked: Reply.json({"tags": ["1"]}))

    async with make_client() as client:
        assert (await client.tags(stub.access("registry.test"), "a/b")).tags == ("1",)
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("base_url", ["ftp://registry.test", "https://", "https://user:secret-word@registry.test", "x"])
async def test_address_of_a_registry_that_is_no_url_is_told(base_url: str) -> None:
    access = dataclasses.replace(anonymous_access("registry.test"), base_url=base_url)

    async with RegistryClient() as client:
        (step,) = await client.test(access)
        assert client.quota(access) is None
        with pytest.raises(CredentialsInvalid) as caught:
            await client.tags(access, "a/b")

    assert (step.name, step.state, step.code) == ("registry", "failed", "credentials_invalid")
    assert "secret-word" not in str(caught.value)
    assert client.requests_sent == 0


async def test_reference_that_is_neither_tag_nor_digest_is_never_asked_for() -> None:
    async with RegistryClient() as client:
        for reference in ("a/b", "..", "sha256:12", "", "x y", "a?b", "a" * 129):
            with pytest.raises(NotFound):
                await client.head(anonymous_access("registry.test"), "a/b", reference)
        with pytest.raises(BadResponse):
            await client.config(anonymous_access("registry.test"), "a/b", "latest")

    assert client.requests_sent == 0


async def test_registry_that_moves_to_another_token_server_is_followed(stub: Stub, make_client: MakeClient) -> None:
    old = TokenAuth(Contents(), "https://old.test/token", "x")
    new = TokenAuth(old.contents, "https://new.test/token", "x")
    old.contents.push("a/b", ["1"])
    old.contents.push("a/c", ["1"])
    stub.serve("registry.test", old.registry)
    stub.serve("old.test", old.token)
    stub.serve("new.test", new.token)

    async with make_client() as client:
        await client.tags(stub.access("registry.test"), "a/b")
        stub.serve("registry.test", new.registry)
        stub.serve("old.test", lambda _asked: Reply(404, b"gone"))
        with pytest.raises(BadResponse, match="HTTP status 404"):
            await client.tags(stub.access("registry.test"), "a/c")
        assert (await client.tags(stub.access("registry.test"), "a/c")).tags == ("1",)
