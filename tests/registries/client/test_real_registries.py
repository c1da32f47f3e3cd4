"""The client against Debian's docker-registry: without log-in, with htpasswd, with tokens, with TLS."""

import dataclasses
from datetime import UTC, datetime

import pytest

from registries.client import ImageManifest, IndexManifest, RegistryClient
from registries.errors import (
    CredentialsInvalid,
    Forbidden,
    NotFound,
    RegistryUnsupported,
    TlsFailed,
    Unauthorized,
    Unreachable,
    UnsafeAddress,
)
from registries.providers import anonymous_access
from tests.registries.servers.authority import Authority
from tests.registries.servers.distribution import USERNAME, RunningRegistry, start_registry
from tests.registries.servers.fixtures import PushImage


async def test_tags_of_a_repository_without_log_in_are_listed(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(plain_registry, "plain/tags", ["1.0", "1.1", "latest"])

    async with RegistryClient() as client:
        found = await client.tags(plain_registry.access(), "plain/tags")

    assert sorted(found.tags) == ["1.0", "1.1", "latest"]
    assert not found.is_truncated
    assert client.requests_sent == 1


async def test_head_of_a_moved_tag_gives_the_new_digest(plain_registry: RunningRegistry, push_image: PushImage) -> None:
    before = push_image(plain_registry, "plain/moved", ["latest"], content="old")

    async with RegistryClient() as client:
        first = await client.head(plain_registry.access(), "plain/moved", "latest")
        after = push_image(plain_registry, "plain/moved", ["latest"], content="new")
        second = await client.head(plain_registry.access(), "plain/moved", "latest")

    assert (first.digest, second.digest) == (before.digest, after.digest)
    assert first.digest != second.digest


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
async def test_manifest_of_several_platforms_lists_them_without_attestations(
    plain_registry: RunningRegistry, push_image: PushImage, docker: bool
) -> None:
    platforms = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")
    built = push_image(plain_registry, f"plain/many{int(docker)}", ["1"], platforms=platforms, docker=docker)

    async with RegistryClient() as client:
        head = await client.head(plain_registry.access(), f"plain/many{int(docker)}", "1")
        manifest = await client.manifest(plain_registry.access(), f"plain/many{int(docker)}", "1")

    assert isinstance(manifest, IndexManifest)
    assert manifest.digest == head.digest == built.digest
    named = {
        "/".join(part for part in (entry.os, entry.architecture, entry.variant) if part): entry.digest
        for entry in manifest.platforms
    }
    assert named == built.platforms


async def test_config_of_an_image_tells_platform_date_and_labels(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    labels = {"org.opencontainers.image.version": "1.2.3", "note": "line\nline"}
    push_image(plain_registry, "plain/config", ["1"], labels=labels, platforms=["linux/arm/v7"])

    async with RegistryClient() as client:
        access = plain_registry.access()
        manifest = await client.manifest(access, "plain/config", "1")
        assert isinstance(manifest, ImageManifest)
        config = await client.config(access, "plain/config", manifest.config_digest)

    assert (config.os, config.architecture, config.variant) == ("linux", "arm", "v7")
    assert config.created == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert config.labels == labels
    assert manifest.size_bytes > 0


async def test_unknown_repository_tag_and_digest_are_not_found(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(plain_registry, "plain/known", ["1"])

    async with RegistryClient() as client:
        access = plain_registry.access()
        with pytest.raises(NotFound):
            await client.tags(access, "plain/nothing")
        with pytest.raises(NotFound):
            await client.head(access, "plain/known", "2")
        with pytest.raises(NotFound):
            await client.manifest(access, "plain/known", f"sha256:{'0' * 64}")
        with pytest.raises(NotFound):
            await client.config(access, "plain/known", f"sha256:{'0' * 64}")


@pytest.mark.parametrize("repository", ["../../v2/other", "a?b", "A/b", "a//b", "a#b", "a/b/", "", "a b", "a%2fb"])
async def test_repository_that_is_no_name_is_never_asked_for(repository: str) -> None:
    async with RegistryClient() as client:
        with pytest.raises(NotFound):
            await client.tags(anonymous_access("registry.test"), repository)

    assert client.requests_sent == 0


async def test_htpasswd_registry_with_the_right_password_is_read(
    htpasswd_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(htpasswd_registry, "closed/app", ["1", "2"])

    async with RegistryClient() as client:
        access = htpasswd_registry.access()
        assert sorted((await client.tags(access, "closed/app")).tags) == ["1", "2"]
        await client.head(access, "closed/app", "1")

    # One 401 teaches what is wanted; it is not needed a second time.
    assert client.requests_sent == 3


async def test_htpasswd_registry_refuses_wrong_and_missing_passwords_with_reasons(
    htpasswd_registry: RunningRegistry,
) -> None:
    async with RegistryClient() as client:
        with pytest.raises(Unauthorized, match="refuses the credentials"):
            await client.tags(htpasswd_registry.access(password="wrong secret"), "closed/app")
        with pytest.raises(Unauthorized, match="wants a user name"):
            await client.tags(htpasswd_registry.access(anonymous=True), "closed/app")

    assert client.requests_sent == 3


async def test_token_registry_is_read_with_one_token_per_repository(
    token_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(token_registry, "token/one", ["1"])
    push_image(token_registry, "token/two", ["1"])
    server = token_registry.token_server
    assert server is not None
    server.requests.clear()

    async with RegistryClient() as client:
        access = token_registry.access()
        for repository in ("token/one", "token/two", "token/one"):
            await client.tags(access, repository)
            await client.head(access, repository, "1")

    assert [asked.query["scope"] for asked in server.requests] == [
        "repository:token/one:pull",
        "repository:token/two:pull",
    ]
    assert all(asked.query["account"] == USERNAME for asked in server.requests)
    # Six answers, two tokens, and the one 401 that named the token server.
    assert client.requests_sent == 9


async def test_token_registry_without_account_reads_public_repositories_only(
    token_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(token_registry, "public/app", ["1"])
    push_image(token_registry, "token/private", ["1"])

    async with RegistryClient() as client:
        access = token_registry.access(anonymous=True)
        assert (await client.tags(access, "public/app")).tags == ("1",)
        with pytest.raises(Forbidden, match="without an account"):
            await client.tags(access, "token/private")


async def test_token_server_that_refuses_is_not_asked_again(token_registry: RunningRegistry) -> None:
    server = token_registry.token_server
    assert server is not None

    async with RegistryClient() as client:
        access = token_registry.access(password="wrong secret")
        for _ in range(3):
            server.requests.clear()
            with pytest.raises(Unauthorized, match="incorrect username or password"):
                await client.tags(access, "token/one")
            after_first = len(server.requests)

    assert after_first == 0


async def test_expired_token_is_replaced(token_registry: RunningRegistry, push_image: PushImage) -> None:
    push_image(token_registry, "token/short", ["1"])
    server = token_registry.token_server
    assert server is not None
    server.lifetime_s = -60
    try:
        async with RegistryClient() as client:
            # The registry calls every such token invalid: one is fetched anew, then it is an error, never a loop.
            with pytest.raises(Forbidden):
                await client.tags(token_registry.access(), "token/short")
            server.lifetime_s = 300
            assert (await client.tags(token_registry.access(), "token/short")).tags == ("1",)
    finally:
        server.lifetime_s = 300


async def test_tls_registry_of_an_own_authority_is_read_with_its_certificate_only(
    tls_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(tls_registry, "tls/own-authority", ["1"])
    access = tls_registry.access()

    async with RegistryClient() as client:
        assert (await client.tags(access, "tls/own-authority")).tags == ("1",)
        with pytest.raises(TlsFailed, match="can not be trusted") as caught:
            await client.tags(dataclasses.replace(access, ca_pem=""), "tls/own-authority")
        with pytest.raises(TlsFailed):
            await client.tags(dataclasses.replace(access, ca_pem=Authority().pem), "tls/own-authority")
        insecure = dataclasses.replace(access, ca_pem="", insecure_tls=True)
        assert (await client.tags(insecure, "tls/own-authority")).tags == ("1",)

    assert "authority" in caught.value.fix


async def test_wrong_scheme_is_told(plain_registry: RunningRegistry, tls_registry: RunningRegistry) -> None:
    over_tls = dataclasses.replace(plain_registry.access(), base_url=plain_registry.url.replace("http", "https"))
    over_http = dataclasses.replace(
        tls_registry.access(), base_url=tls_registry.url.replace("https", "http"), allow_http=True
    )

    async with RegistryClient() as client:
        with pytest.raises(TlsFailed, match="does not speak TLS"):
            await client.tags(over_tls, "a/b")
        with pytest.raises(RegistryUnsupported, match="speaks HTTPS"):
            await client.tags(over_http, "a/b")


async def test_private_address_of_a_host_that_nobody_configured_is_not_asked(plain_registry: RunningRegistry) -> None:
    access = dataclasses.replace(plain_registry.access(), is_configured=False)

    async with RegistryClient() as client:
        with pytest.raises(UnsafeAddress, match="this machine itself"):
            await client.tags(access, "a/b")
        with pytest.raises(UnsafeAddress, match="plain HTTP"):
            await client.tags(dataclasses.replace(plain_registry.access(), allow_http=False), "a/b")


async def test_stopped_registry_is_unreachable(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = start_registry(tmp_path_factory.mktemp("stopped"))
    running.stop()

    async with RegistryClient() as client:
        with pytest.raises(Unreachable, match=r"can not be connected to: .*refused"):
            await client.tags(running.access(), "a/b")

    assert client.requests_sent == 4


async def test_unusable_certificates_are_refused_before_anything_is_sent(tls_registry: RunningRegistry) -> None:
    access = tls_registry.access()

    async with RegistryClient() as client:
        with pytest.raises(CredentialsInvalid, match="no PEM certificate"):
            await client.tags(dataclasses.replace(access, ca_pem="not PEM"), "a/b")
        with pytest.raises(CredentialsInvalid, match="client certificate"):
            await client.tags(dataclasses.replace(access, client_certificate="not PEM"), "a/b")


async def test_live_test_says_step_by_step_what_works(
    htpasswd_registry: RunningRegistry, plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(htpasswd_registry, "closed/steps", ["1", "2"])

    async with RegistryClient() as client:
        good = await client.test(htpasswd_registry.access(), "closed/steps")
        bad = await client.test(htpasswd_registry.access(password="wrong"), "closed/steps")
        anonymous = await client.test(plain_registry.access())
        missing = await client.test(htpasswd_registry.access(), "closed/nothing")

    assert [(step.name, step.state) for step in good] == [("registry", "ok"), ("log_in", "ok"), ("tags", "ok")]
    assert good[2].message == "closed/steps has 2 tags."
    assert [(step.state, step.code) for step in bad] == [("ok", ""), ("failed", "unauthorized"), ("skipped", "")]
    assert [step.state for step in anonymous] == ["ok", "ok", "skipped"]
    assert (missing[2].state, missing[2].code) == ("failed", "not_found")
