"""Amazon's registries and the API for their tokens, whose signatures are checked by botocore itself."""

import base64
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.registries.servers.contents import Contents
from tests.registries.servers.serving import Asked, Reply
from tests.registries.servers.stub import Stub

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
API = "api.ecr.eu-west-1.amazonaws.com"
PUBLIC_API = "api.ecr-public.us-east-1.amazonaws.com"
KEY_ID, SECRET_KEY, SESSION = "AKIDEXAMPLE", "aws/secret+key", "session+token"
PASSWORD = "ecr-password"


class Amazon:
    """Private and public registry. ``lifetime_s`` is how long tokens are said to live."""

    def __init__(self, stub: Stub) -> None:
        self.contents = Contents()
        self.public = Contents(page_size=2)
        self.lifetime_s = 12 * 3600.0
        self.password = PASSWORD
        self.api_error: Reply | None = None
        self.expires_at: float | None = None
        self._marks: set[str] = set()
        stub.serve(HOST, self._registry)
        stub.serve(API, lambda asked: self._api(asked, "ecr", "eu-west-1"))
        stub.serve(PUBLIC_API, lambda asked: self._api(asked, "ecr-public", "us-east-1"))
        stub.serve("public.ecr.aws", self._public)

    def _registry(self, asked: Asked) -> Reply:
        token = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        if asked.authorization != f"Basic {token}":
            challenge = f'Basic realm="https://{HOST}/",service="ecr.amazonaws.com"'
            return Reply(401, b"Not Authorized", [("WWW-Authenticate", challenge)])
        return self.contents.answer(asked)

    def _api(self, asked: Asked, service: str, region: str) -> Reply:
        if self.api_error is not None:
            return self.api_error
        if not is_signed(asked, service, region):
            body = {"__type": "InvalidSignatureException", "message": "The request signature does not match."}
            return Reply.json(body, 400)
        token = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        expires_at = self.expires_at if self.expires_at is not None else time.time() + self.lifetime_s
        entry = {"authorizationToken": token, "expiresAt": expires_at}
        if service == "ecr-public":
            return Reply.json({"authorizationData": entry})
        return Reply.json({"authorizationData": [{**entry, "proxyEndpoint": f"https://{HOST}"}]})

    def _public(self, asked: Asked) -> Reply:
        if asked.path == "/token/":
            return Reply.json({"token": "public-token"})
        keyed = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        if asked.authorization not in ("Bearer public-token", f"Bearer {keyed}"):
            challenge = 'Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"'
            return Reply(401, b"", [("WWW-Authenticate", challenge)])
        if asked.query.get("last") and asked.target not in self._marks:
            return Reply(405)
        reply = self.public.answer(asked)
        for name, value in reply.headers:
            if name == "Link":
                self._marks.add(value[1:].partition(">")[0])
        return reply


def is_signed(asked: Asked, service: str, region: str) -> bool:
    """Whether botocore, given the same request at the same time, signs it the same way."""
    signed = asked.authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: asked.headers[name] for name in signed if name != "x-amz-date"}
    request = AWSRequest("POST", f"https://{asked.host}{asked.target}", data=asked.body, headers=headers)
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(KEY_ID, SECRET_KEY), service, region)
    request.headers["X-Amz-Date"] = asked.headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    return asked.authorization.endswith(f"Signature={signature}") and f"Credential={KEY_ID}/" in asked.authorization
