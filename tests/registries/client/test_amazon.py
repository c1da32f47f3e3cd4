"""Amazon's registries: signatures that botocore itself checks, tokens that end, and moto's API."""

from collections.abc import Iterator

import httpx
import pytest
from moto.server import ThreadedMotoServer

from registries.errors import BadResponse, CredentialsInvalid, Forbidden, RateLimited, Unauthorized
from tests.registries.client.conftest import FakeClock, MakeClient
from tests.registries.servers.amazon import API, HOST, KEY_ID, PASSWORD, PUBLIC_API, SECRET_KEY, SESSION, Amazon
from tests.registries.servers.serving import Asked, Reply
from tests.registries.servers.stub import Stub

KEYS = {"accesskeyid": KEY_ID, "secretaccesskey": SECRET_KEY}
REGION = {"region": "eu-west-1"}


@pytest.mark.parametrize("session", [{}, {"sessiontoken": SESSION}], ids=["keys", "session"])
async def test_ecr_token_is_fetched_once_with_a_right_signature(
    stub: Stub, make_client: MakeClient, session: dict[str, str]
) -> None:
    amazon = Amazon(stub)
    amazon.contents.push("team/app", ["1"])
    amazon.contents.push("team/other", ["1"])

    async with make_client() as client:
        access = stub.access(HOST, **KEYS, **REGION, **session)
        assert (await client.tags(access, "team/app")).tags == ("1",)
        assert (await client.tags(access, "team/other")).tags == ("1",)
        await client.head(access, "team/app", "1")

    (asked,) = stub.requests_to(API)
    assert asked.headers["x-amz-target"] == "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    assert asked.headers.get("x-amz-security-token") == session.get("sessiontoken")
    assert SECRET_KEY not in f"{[seen.headers for seen in stub.requests]}"


async def test_ecr_wrong_secret_is_refused_with_what_aws_says(stub: Stub, make_client: MakeClient) -> None:
    Amazon(stub)

    async with make_client() as client:
        access = stub.access(HOST, accesskeyid=KEY_ID, secretaccesskey="wrong", **REGION)
        with pytest.raises(Unauthorized, match="signature does not match"):
            await client.tags(access, "team/app")
        steps = await client.test(access)

    assert [step.state for step in steps] == ["ok", "failed", "skipped"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply.json({"__type": "AccessDeniedException", "Message": "not authorized to perform"}, 400), Forbidden),
        (Reply.json({"__type": "com.amazon#ThrottlingException", "message": "Rate exceeded"}, 400), RateLimited),
        (Reply.json({"__type": "UnrecognizedClientException", "message": "invalid"}, 400), Unauthorized),
        (Reply.json({"__type": "ExpiredTokenException", "message": "expired"}, 400), Unauthorized),
        (Reply.json({"__type": "ServerException"}, 400), BadResponse),
        (Reply.json({"authorizationData": []}), BadResponse),
        (Reply.json({"authorizationData": [{"authorizationToken": "a\nb"}]}), BadResponse),
        (Reply(200, b"<html>"), BadResponse),
    ],
)
async def test_ecr_errors_are_told_apart(
    stub: Stub, make_client: MakeClient, answer: Reply, error: type[Exception]
) -> None:
    Amazon(stub).api_error = answer

    async with make_client() as client:
        with pytest.raises(error):
            await client.tags(stub.access(HOST, **KEYS, **REGION), "team/app")


async def test_ecr_token_is_fetched_again_ten_minutes_before_its_end(stub: Stub, make_client: MakeClient) -> None:
    amazon = Amazon(stub)
    amazon.contents.push("team/app", ["1"])
    clock = FakeClock()
    amazon.expires_at = clock.now() + 12 * 3600

    async with make_client(clock=clock) as client:
        access = stub.access(HOST, **KEYS, **REGION)
        await client.tags(access, "team/app")
        clock.passed += 12 * 3600 - 601
        await client.tags(access, "team/app")
        assert len(stub.requests_to(API)) == 1
        clock.passed += 2
        await client.tags(access, "team/app")

    assert len(stub.requests_to(API)) == 2


async def test_ecr_token_that_is_born_expired_is_used_for_a_minute(stub: Stub, make_client: MakeClient) -> None:
    amazon = Amazon(stub)
    amazon.contents.push("team/app", ["1"])
    amazon.expires_at = 1_420_070_400.0  # 2015

    async with make_client(clock=FakeClock()) as client:
        for _ in range(3):
            await client.tags(stub.access(HOST, **KEYS, **REGION), "team/app")

    assert len(stub.requests_to(API)) == 1


async def test_ecr_token_that_is_refused_is_replaced_once(stub: Stub, make_client: MakeClient) -> None:
    amazon = Amazon(stub)
    amazon.contents.push("team/app", ["1"])

    async with make_client() as client:
        access = stub.access(HOST, **KEYS, **REGION)
        await client.tags(access, "team/app")
        amazon.password = "changed"
        assert (await client.tags(access, "team/app")).tags == ("1",)
        stub.serve(HOST, lambda _asked: Reply(401, b"", [("WWW-Authenticate", "Basic realm=x")]))
        with pytest.raises(Unauthorized):
            await client.tags(access, "team/app")

    assert len(stub.requests_to(API)) == 4


async def test_ecr_host_decides_about_region_and_account(stub: Stub, make_client: MakeClient) -> None:
    Amazon(stub)

    async with make_client() as client:
        with pytest.raises(CredentialsInvalid, match="region eu-west-1"):
            await client.tags(stub.access(HOST, **KEYS, region="us-east-1"), "team/app")
        with pytest.raises(CredentialsInvalid, match="123456789012"):
            await client.tags(stub.access(HOST, **KEYS, **REGION, accountid="999999999999"), "team/app")

    assert not stub.requests


async def test_ecr_pull_gets_a_fresh_password_and_never_the_keys(stub: Stub, make_client: MakeClient) -> None:
    Amazon(stub)

    async with make_client() as client:
        access = stub.access(HOST, **KEYS, **REGION)
        content = await client.pull_credentials(access, HOST)
        await client.pull_credentials(access, HOST)
        with pytest.raises(CredentialsInvalid):
            await client.pull_credentials(access, "evil.example")

    assert content == {"username": "AWS", "password": PASSWORD, "serveraddress": HOST}
    assert len(stub.requests_to(API)) == 2


async def test_ecr_public_pages_follow_links_only(stub: Stub, make_client: MakeClient) -> None:
    amazon = Amazon(stub)
    amazon.public.push("nginx/nginx", ["1", "2", "3", "4", "5"])

    async with make_client() as client:
        found = await client.tags(stub.access("public.ecr.aws"), "nginx/nginx")

    assert found.tags == ("1", "2", "3", "4", "5")
    assert not found.is_truncated


async def test_ecr_public_with_keys_uses_their_token_as_bearer(stub: Stub, make_client: MakeClient) -> None:
    amazon = Amazon(stub)
    amazon.public.push("nginx/nginx", ["1"])

    async with make_client() as client:
        access = stub.access("public.ecr.aws", **KEYS)
        assert (await client.tags(access, "nginx/nginx")).tags == ("1",)

    (asked,) = stub.requests_to(PUBLIC_API)
    assert asked.headers["x-amz-target"] == "SpencerFrontendService.GetAuthorizationToken"
    assert not [seen for seen in stub.requests if seen.path == "/token/"]


@pytest.fixture
def moto_url() -> Iterator[str]:
    """AWS as moto plays it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_ecr_against_moto_gives_its_password(stub: Stub, make_client: MakeClient, moto_url: str) -> None:
    def forward(asked: Asked) -> Reply:
        answer = httpx.post(moto_url, content=asked.body, headers=asked.headers, timeout=20, trust_env=False)
        return Reply(answer.status_code, answer.content, [("Content-Type", "application/json")])

    stub.serve(API, forward)

    async with make_client() as client:
        content = await client.pull_credentials(stub.access(HOST, **KEYS, **REGION), HOST)

    assert content is not None
    assert content["username"] == "AWS"
    assert content["password"].endswith("-auth-token")
    # Its tokens ended in 2015, which must not make anybody fetch them in a loop.
    assert len(stub.requests_to(API)) == 1
