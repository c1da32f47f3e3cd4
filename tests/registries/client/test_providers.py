"""The client against each well-known registry's own protocol, by its real name."""

import asyncio
import base64
import dataclasses

import pytest

from registries.client import Limits, Memory
from registries.errors import BadResponse, Forbidden, QuotaLow, RateLimited, Unauthorized, UnsafeRealm
from registries.providers import Access, BasicCredentials
from tests.registries.client.conftest import QUICK, FakeClock, MakeClient
from tests.registries.servers.contents import Contents, problem
from tests.registries.servers.providers import (
    GOOGLE_KEY,
    install_azure,
    install_ghcr,
    install_gitea,
    install_gitlab,
    install_google,
    install_hub,
    install_quay,
)
from tests.registries.servers.serving import Reply
from tests.registries.servers.stub import Stub, UnmappedName


async def test_name_that_no_stub_stands_for_is_not_asked(stub: Stub, make_client: MakeClient) -> None:
    async with make_client() as client:
        with pytest.raises(UnmappedName):
            await client.tags(stub.access("nowhere.example"), "a/b")


async def test_hub_without_account_gets_an_anonymous_token(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    built = hub.contents.push("library/nginx", ["1.27", "latest"])

    async with make_client() as client:
        access = stub.access("docker.io")
        assert sorted((await client.tags(access, "library/nginx")).tags) == ["1.27", "latest"]
        assert (await client.head(access, "library/nginx", "latest")).digest == built.digest
        quota = client.quota(access)

    token = stub.requests_to("auth.docker.io")[0]
    assert token.query == {"service": "registry.docker.io", "scope": "repository:library/nginx:pull"}
    assert not token.authorization
    # The Hub sends every tag at once, unless a number is asked for.
    assert stub.requests_to("registry-1.docker.io")[0].target == "/v2/library/nginx/tags/list"
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.window_s, quota.source) == (100, 100, 21600, "192.0.2.1")
    assert client.requests_sent == 4


async def test_hub_with_account_sends_it_to_the_token_server_only(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("ada/private", ["1"])
    hub.private.add("ada/private")

    async with make_client() as client:
        access = stub.access("docker.io", login="ada", token="dckr_pat_secret")
        assert (await client.tags(access, "ada/private")).tags == ("1",)
        with pytest.raises(Forbidden, match="no such repository"):
            await client.tags(stub.access("docker.io"), "ada/private")

    asked = stub.requests_to("auth.docker.io")[0]
    assert asked.authorization == "Basic " + base64.b64encode(b"ada:dckr_pat_secret").decode()
    assert asked.query["account"] == "ada"
    assert all(not seen.authorization.startswith("Basic") for seen in stub.requests_to("registry-1.docker.io"))


async def test_hub_with_a_wrong_secret_is_asked_once(stub: Stub, make_client: MakeClient) -> None:
    install_hub(stub)

    async with make_client() as client:
        access = stub.access("docker.io", login="ada", password="wrong")
        results = await asyncio.gather(
            *(client.tags(access, f"library/app{number}") for number in range(8)), return_exceptions=True
        )

    assert all(isinstance(error, Unauthorized) for error in results)
    assert "incorrect username or password" in str(results[0])
    # A few wrong log-ins lock the user name, so not even those that run at the same time may try.
    assert len(stub.requests_to("auth.docker.io")) == 1


async def test_hub_quota_counts_manifests_and_keeps_the_last_pulls(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub, limit=12)
    hub.contents.push("library/app", ["1"])
    clock = FakeClock()

    async with make_client(clock=clock) as client:
        access = stub.access("docker.io")
        for _ in range(10):
            await client.manifest(access, "library/app", "1")
        with pytest.raises(QuotaLow, match="Only 2 of 12 pulls") as caught:
            await client.manifest(access, "library/app", "1")
        # Looking whether a tag moved costs nothing and goes on.
        await client.head(access, "library/app", "1")

    assert caught.value.retry_at.timestamp() == clock.now() + 3600


async def test_hub_429_puts_the_registry_to_sleep_for_this_account_only(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("library/app", ["1"])
    hub.after = lambda asked, reply: problem(429, "TOOMANYREQUESTS", "Too many") if asked.method == "HEAD" else reply
    clock = FakeClock()

    async with make_client(clock=clock) as client:
        access = stub.access("docker.io")
        await client.tags(access, "library/app")
        with pytest.raises(RateLimited, match="limits requests") as caught:
            await client.head(access, "library/app", "1")
        sent = client.requests_sent
        with pytest.raises(RateLimited):
            await client.tags(access, "library/app")
        assert client.requests_sent == sent
        with_account = stub.access("docker.io", login="ada", token="dckr_pat_secret")
        assert (await client.tags(with_account, "library/app")).tags == ("1",)
        clock.passed += 61
        assert (await client.tags(access, "library/app")).tags == ("1",)

    assert caught.value.retry_at.timestamp() == clock.now() - 61 + 60
    # A 429 on HEAD is never answered by a GET, which would cost a pull.
    assert not [asked for asked in stub.requests if asked.method == "GET" and "/manifests/" in asked.path]


async def test_hub_plain_text_429_is_understood(stub: Stub, make_client: MakeClient) -> None:
    stub.serve("registry-1.docker.io", lambda _asked: Reply(429, b"429 Too Many Requests"))

    async with make_client(clock=FakeClock()) as client:
        with pytest.raises(RateLimited, match="429 Too Many Requests"):
            await client.tags(stub.access("docker.io"), "library/app")


async def test_hub_dates_come_from_its_own_api_until_it_refuses(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    built = hub.contents.push("library/app", [f"1.{number:03}" for number in range(250)])
    limits = dataclasses.replace(QUICK, tags=1000)

    async with make_client(limits) as client:
        found = await client.tags(stub.access("docker.io"), "library/app", with_dates=True)
        account = stub.access("docker.io", login="ada", token="dckr_pat_secret")
        with_account = await client.tags(account, "library/app", with_dates=True)

    assert len(found.tags) == 250
    assert len(found.dates) == 200  # the third page is for those who sign in
    assert len(with_account.dates) == 250
    assert found.digests["1.249"] == built.digest
    assert not [asked for asked in stub.requests_to("hub.docker.com") if asked.authorization.startswith("Basic")]


async def test_hub_live_test_shows_what_is_left(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("ratelimitpreview/test", ["latest"])

    async with make_client() as client:
        good = await client.test(stub.access("docker.io", login="ada", token="dckr_pat_secret"))
        bad = await client.test(stub.access("docker.io", login="ada", token="expired"))

    assert [step.state for step in good] == ["ok", "ok", "ok"]
    assert "100 of 100 pulls are left" in good[2].message
    assert [step.state for step in bad] == ["ok", "failed", "skipped"]
    assert "incorrect username or password" in bad[1].message


async def test_ghcr_anonymous_token_is_shared_by_repositories_and_by_lscr(stub: Stub, make_client: MakeClient) -> None:
    ghcr = install_ghcr(stub)
    for name in ("owner/one", "owner/two", "linuxserver/sonarr"):
        ghcr.contents.push(name, ["1", "2", "3"])

    async with make_client() as client:
        assert (await client.tags(stub.access("ghcr.io"), "owner/one")).tags == ("1", "2", "3")
        assert (await client.tags(stub.access("ghcr.io"), "owner/two")).tags == ("1", "2", "3")
        assert (await client.tags(stub.access("lscr.io"), "linuxserver/sonarr")).tags == ("1", "2", "3")

    assert len([asked for asked in stub.requests if asked.path == "/token"]) == 1


async def test_ghcr_with_a_bad_token_is_an_error_even_for_public_images(stub: Stub, make_client: MakeClient) -> None:
    ghcr = install_ghcr(stub)
    ghcr.contents.push("owner/one", ["1"])

    async with make_client() as client:
        with pytest.raises(Unauthorized, match="invalid token"):
            await client.tags(stub.access("ghcr.io", username="ada", token="expired"), "owner/one")
        good = stub.access("ghcr.io", username="ada", token="ghp_secret")
        assert (await client.tags(good, "owner/one")).tags == ("1",)


async def test_ghcr_tiny_retry_after_is_waited_a_whole_second(stub: Stub, make_client: MakeClient) -> None:
    ghcr = install_ghcr(stub)
    ghcr.contents.push("owner/one", ["1"])
    answers = iter([True, False])

    def limited(_asked: object, reply: Reply) -> Reply:
        return Reply(429, b"", [("Retry-After", "0.0005")]) if next(answers, False) else reply

    ghcr.after = limited
    clock = FakeClock()

    async with make_client(clock=clock) as client:
        assert (await client.tags(stub.access("ghcr.io"), "owner/one")).tags == ("1",)

    assert clock.slept == [1.0]


async def test_lscr_that_challenges_for_ghcr_is_followed_with_its_account(stub: Stub, make_client: MakeClient) -> None:
    ghcr = install_ghcr(stub)
    ghcr.contents.push("linuxserver/sonarr", ["1"])
    access = stub.access("lscr.io", base_url="https://lscr.io", username="ada", token="ghp_secret")

    async with make_client() as client:
        assert (await client.tags(access, "linuxserver/sonarr")).tags == ("1",)

    # The realm of another registry is not a place for its API.
    assert [asked.host for asked in stub.requests if asked.path != "/token"] == ["lscr.io", "lscr.io"]
    assert [asked.host for asked in stub.requests if asked.path == "/token"] == ["ghcr.io"]


async def test_lscr_that_redirects_is_followed_without_its_credentials(stub: Stub, make_client: MakeClient) -> None:
    ghcr = install_ghcr(stub)
    ghcr.contents.push("linuxserver/sonarr", ["1"])

    def redirect(asked: object) -> Reply:
        return Reply(307, b"", [("Location", f"https://ghcr.io{asked.target}")])

    stub.serve("lscr.io", redirect)
    access = stub.access("lscr.io", base_url="https://lscr.io", username="ada", token="ghp_secret")

    async with make_client() as client:
        with pytest.raises(Forbidden, match=r"redirects to ghcr\.io"):
            await client.tags(access, "linuxserver/sonarr")

    assert not stub.secrets_seen_by("ghcr.io", "ghp_secret")


async def test_ghcr_that_gives_no_anonymous_token_is_told_as_private_or_missing(
    stub: Stub, make_client: MakeClient
) -> None:
    ghcr = install_ghcr(stub)
    refused = problem(403, "DENIED", "requested access to the resource is denied")
    stub.serve("ghcr.io", lambda asked: refused if asked.path == "/token" else ghcr.registry(asked))

    async with make_client() as client:
        with pytest.raises(Forbidden, match="no anonymous access") as caught:
            await client.tags(stub.access("ghcr.io"), "owner/private")

    assert "add an account" in caught.value.fix


async def test_trueforge_gets_its_tokens_from_ghcr(stub: Stub, make_client: MakeClient) -> None:
    ghcr = install_ghcr(stub)
    ghcr.contents.push("tccr/app", ["1"])
    stub.serve("oci.trueforge.org", ghcr.registry)

    async with make_client() as client:
        access = stub.access("oci.trueforge.org", username="ada", token="ghp_secret")
        assert (await client.tags(access, "tccr/app")).tags == ("1",)
        assert (await client.tags(stub.access("oci.trueforge.org"), "tccr/app")).tags == ("1",)


async def test_registry_that_redirects_its_lists_is_read_to_the_last_page(stub: Stub, make_client: MakeClient) -> None:
    contents = Contents(page_size=2, links="absolute")
    contents.push("pause", [f"3.{number}" for number in range(7)])
    stub.serve(
        "registry.k8s.io", lambda asked: Reply(307, b"", [("Location", f"https://us-docker.pkg.dev{asked.target}")])
    )
    stub.serve("us-docker.pkg.dev", contents.answer)

    async with make_client() as client:
        found = await client.tags(stub.access("registry.k8s.io"), "pause")

    assert (len(found.tags), found.is_truncated) == (7, False)


async def test_gitlab_sends_its_account_to_gitlab_com(stub: Stub, make_client: MakeClient) -> None:
    gitlab = install_gitlab(stub)
    gitlab.contents.push("group/app", ["1"])
    gitlab.private.add("group/app")

    async with make_client() as client:
        assert (await client.tags(stub.access("registry.gitlab.com", token="glpat"), "group/app")).tags == ("1",)
        deploy = stub.access("registry.gitlab.com", username="bot", token="gldt")
        assert (await client.tags(deploy, "group/app")).tags == ("1",)
        with pytest.raises(Unauthorized, match="access forbidden"):
            await client.tags(stub.access("registry.gitlab.com", token="gldt"), "group/app")


async def test_gitlab_of_ones_own_needs_its_log_in_host_named(stub: Stub, make_client: MakeClient) -> None:
    gitlab = install_gitlab(stub)
    gitlab.realm = "https://git.example/jwt/auth"
    gitlab.contents.push("group/app", ["1"])
    stub.serve("registry.git.example:5050", gitlab.registry)
    stub.serve("git.example", gitlab.token)
    access = Access(
        host="registry.git.example:5050",
        provider="gitlab",
        base_url="https://registry.git.example:5050",
        credentials=BasicCredentials("oauth2", "glpat"),
        ca_pem=stub.authority.pem,
        is_configured=True,
    )

    async with make_client() as client:
        with pytest.raises(UnsafeRealm, match=r"https://git\.example") as caught:
            await client.tags(access, "group/app")
        assert not stub.requests_to("git.example")
        named = dataclasses.replace(access, auth_hosts=("git.example",))
        assert (await client.tags(named, "group/app")).tags == ("1",)

    assert "trusted hosts" in caught.value.fix


async def test_quay_public_repository_is_read_by_opaque_pages_without_a_token(
    stub: Stub, make_client: MakeClient
) -> None:
    quay = install_quay(stub)
    quay.contents.push("team/app", ["1", "2", "3", "4", "5"])

    async with make_client() as client:
        found = await client.tags(stub.access("quay.io"), "team/app")

    assert found.tags == ("1", "2", "3", "4", "5")
    assert [asked.path for asked in stub.requests] == ["/v2/team/app/tags/list"] * 3
    assert "next_page=opaque%2F2%3D&n=50" in stub.requests[1].target


async def test_quay_robot_reads_private_repositories(stub: Stub, make_client: MakeClient) -> None:
    quay = install_quay(stub)
    quay.contents.push("team/app", ["1"])
    quay.private.add("team/app")

    async with make_client() as client:
        robot = stub.access("quay.io", namespace="team", account="robot", token="quay_secret")
        assert (await client.tags(robot, "team/app")).tags == ("1",)
        with pytest.raises(Unauthorized):
            await client.tags(stub.access("quay.io", namespace="team", account="other", token="x"), "team/app")

    token = next(asked for asked in stub.requests if asked.path == "/v2/auth")
    assert "account=team%2Brobot" in token.target


@pytest.mark.parametrize("host", ["us-docker.pkg.dev", "gcr.io", "eu.gcr.io"])
@pytest.mark.parametrize("names_service", [True, False])
async def test_google_takes_whole_key_files_and_tells_dates_and_digests(
    stub: Stub, make_client: MakeClient, host: str, names_service: bool
) -> None:
    google = install_google(stub, host, service=names_service)
    built = google.contents.push("project/app", ["1", "2"])
    google.private.add("project/app")
    encoded = base64.b64encode(GOOGLE_KEY.encode()).decode()
    accounts: list[dict[str, str]] = [{"jsonkey": GOOGLE_KEY}, {"jsonkey": encoded}, {"accesstoken": "ya29.token"}]
    accounts.append({"clientemail": "ssm@project.iam.test", "privatekey": "-----BEGIN KEY-----\\nx\\n"})

    async with make_client() as client:
        for values in accounts:
            found = await client.tags(stub.access(host, **values), "project/app")
            assert found.tags == ("1", "2")
            assert found.digests == {"1": built.digest, "2": built.digest}
            assert found.dates["1"].isoformat() == "2026-03-01T13:00:00+00:00"


async def test_azure_works_with_client_secret(stub: Stub, make_client: MakeClient) -> None:
    azure = install_azure(stub)
    azure.contents.push("team/app", ["1"])
    azure.private.add("team/app")

    async with make_client() as client:
        access = stub.access("team.azurecr.io", clientid="client", clientsecret="acr secret")
        assert (await client.tags(access, "team/app")).tags == ("1",)
        with pytest.raises(Unauthorized):
            await client.tags(stub.access("team.azurecr.io", clientid="client", clientsecret="wrong"), "team/app")

    assert stub.requests_to("team.azurecr.io")[1].query["scope"] == "repository:team/app:metadata_read"


async def test_azure_works_through_entra_in_three_steps_once(stub: Stub, make_client: MakeClient) -> None:
    azure = install_azure(stub)
    azure.contents.push("team/app", ["1"])
    azure.contents.push("team/other", ["1"])

    async with make_client() as client:
        access = stub.access("team.azurecr.io", clientid="app", clientsecret="entra secret", tenant="tenant")
        assert (await client.tags(access, "team/app")).tags == ("1",)
        assert (await client.tags(access, "team/other")).tags == ("1",)
        pull = await client.pull_credentials(access, "team.azurecr.io")
        wrong = stub.access("team.azurecr.io", clientid="app", clientsecret="wrong", tenant="tenant")
        with pytest.raises(Unauthorized, match="Invalid client secret"):
            await client.tags(wrong, "team/app")

    assert len(stub.requests_to("login.microsoftonline.com")) == 2
    assert not [asked for asked in stub.requests_to("team.azurecr.io") if b"entra+secret" in asked.body]
    assert pull is not None
    assert pull["username"] == "00000000-0000-0000-0000-000000000000"
    assert "entra secret" not in str(pull)


@pytest.mark.parametrize("host", ["code.forgejo.org", "codeberg.org"])
async def test_forgejo_is_asked_for_our_own_scope_instead_of_everything(
    stub: Stub, make_client: MakeClient, host: str
) -> None:
    forgejo = install_gitea(stub, host)
    forgejo.contents.push("owner/group/app", ["1"])
    forgejo.private.add("owner/group/app")

    async with make_client() as client:
        access = stub.access(host, login="ada", password="gitea secret")
        assert (await client.tags(access, "owner/group/app")).tags == ("1",)

    tokens = [asked for asked in stub.requests if asked.path == "/v2/token"]
    assert [asked.query["scope"] for asked in tokens] == ["repository:owner/group/app:pull"]


async def test_many_requests_for_one_repository_share_one_token_fetch(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("library/app", [str(number) for number in range(20)])

    async with make_client(Limits(calls_per_origin=20)) as client:
        access = stub.access("docker.io")
        await asyncio.gather(*(client.head(access, "library/app", str(number)) for number in range(20)))

    assert len(stub.requests_to("auth.docker.io")) == 1


async def test_memory_given_to_a_second_client_saves_tokens(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("library/app", ["1"])
    memory = Memory()

    for _ in range(2):
        async with make_client(memory=memory) as client:
            await client.tags(stub.access("docker.io"), "library/app")

    assert client.requests_sent == 1
    assert "token-" not in repr(memory)


async def test_changed_secret_never_uses_the_old_token(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("library/app", ["1"])
    memory = Memory()

    async with make_client(memory=memory) as client:
        await client.tags(stub.access("docker.io", login="ada", token="dckr_pat_secret"), "library/app")
        with pytest.raises(Unauthorized):
            await client.tags(stub.access("docker.io", login="ada", token="wrong"), "library/app")


async def test_tokens_end_and_are_fetched_again_in_time(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    hub.contents.push("library/app", ["1"])
    clock = FakeClock()

    async with make_client(clock=clock) as client:
        access = stub.access("docker.io")
        await client.tags(access, "library/app")
        clock.passed += 239
        await client.tags(access, "library/app")
        assert len(stub.requests_to("auth.docker.io")) == 1
        clock.passed += 2
        await client.tags(access, "library/app")

    assert len(stub.requests_to("auth.docker.io")) == 2


@pytest.mark.parametrize("lifetime", [0, -1, "300", None, "soon", 1e300, True])
async def test_odd_lifetimes_of_tokens_count_as_a_minute_or_as_meant(
    stub: Stub, make_client: MakeClient, lifetime: object
) -> None:
    hub = install_hub(stub)
    hub.answer = {"expires_in": lifetime, "issued_at": "1970-01-01T00:00:00Z"}
    hub.contents.push("library/app", ["1"])

    async with make_client(clock=FakeClock()) as client:
        for _ in range(3):
            await client.tags(stub.access("docker.io"), "library/app")

    assert len(stub.requests_to("auth.docker.io")) == 1


async def test_token_answer_without_token_is_a_bad_response(stub: Stub, make_client: MakeClient) -> None:
    hub = install_hub(stub)
    for names, answer in (((), {}), ((), {"token": None}), ((), {"token": "a\r\nX: y"}), ((), {"token": ""})):
        hub.names, hub.answer = names, answer
        async with make_client() as client:
            with pytest.raises(BadResponse, match="without a usable token"):
                await client.tags(stub.access("docker.io"), "library/app")
