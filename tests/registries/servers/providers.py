"""The well-known registries as handlers of a stub: their challenges, token servers, limits and quirks."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from tests.registries.servers.contents import Contents, problem
from tests.registries.servers.serving import Asked, Reply
from tests.registries.servers.stub import Stub

GOOGLE_KEY = json.dumps(
    {"type": "service_account", "client_email": "ssm@project.iam.test", "private_key": "-----BEGIN KEY-----\nx\n"}
)


class TokenAuth:
    """A registry that wants Bearer tokens, with its token server.

    ``users`` maps names to secrets. ``private`` repositories need a user. ``bound``: tokens are for their scope only.
    """

    def __init__(self, contents: Contents, realm: str, service: str, users: dict[str, str] | None = None) -> None:
        self.contents = contents
        self.realm = realm
        self.service = service
        self.users = users or {}
        self.private: set[str] = set()
        self.bound = True
        self.scope = "repository:{name}:pull"
        self.refusal: tuple[int, Any] = (401, {"details": "incorrect username or password"})
        self.answer: dict[str, Any] = {"expires_in": 300, "issued_at": "2020-01-01T00:00:00Z"}
        self.names: tuple[str, ...] = ("token",)
        self.issued: dict[str, tuple[str, set[str]]] = {}
        self.after: Callable[[Asked, Reply], Reply] = lambda _asked, reply: reply
        self.accepts_basic = False

    def registry(self, asked: Asked) -> Reply:
        """The registry's side."""
        name = repository_of(asked)
        if asked.authorization.startswith("Basic ") and self.accepts_basic and self.user_of(asked) is not None:
            return self.after(asked, self.contents.answer(asked))
        value = asked.authorization.removeprefix("Bearer ")
        known = self.issued.get(value)
        if known is None:
            return self.challenge(name, "invalid_token" if value else "")
        user, repositories = known
        if name and self.bound and name not in repositories:
            return self.challenge(name, "insufficient_scope")
        if name in self.private and not user:
            return self.challenge(name, "insufficient_scope")
        return self.after(asked, self.contents.answer(asked))

    def challenge(self, name: str, error: str = "") -> Reply:
        """A 401."""
        parts = [f'Bearer realm="{self.realm}"']
        if self.service:
            parts.append(f'service="{self.service}"')
        if name:
            parts.append(f'scope="{self.scope.format(name=name)}"')
        if error:
            parts.append(f'error="{error}"')
        text = "authentication required"
        return problem(401, "UNAUTHORIZED", text, ("WWW-Authenticate", ",".join(parts)))

    def token(self, asked: Asked) -> Reply:
        """The token server's side."""
        user = self.user_of(asked)
        if user is None:
            return Reply.json(self.refusal[1], self.refusal[0])
        scopes = parse_qs(urlsplit(asked.target).query).get("scope", [])
        repositories = {
            scope.split(":", 1)[1].rpartition(":")[0] for scope in scopes if scope.startswith("repository:")
        }
        allowed = {name for name in repositories if user or name not in self.private}
        value = f"token-{secrets.token_hex(8)}"
        self.issued[value] = (user, allowed)
        return Reply.json({**dict.fromkeys(self.names, value), **self.answer})

    def user_of(self, asked: Asked) -> str | None:
        """The user's name, empty for anonymous, None when the log-in is wrong."""
        if not asked.authorization:
            return ""
        name, _, secret = base64.b64decode(asked.authorization.removeprefix("Basic ")).decode().partition(":")
        return name if self.users.get(name) == secret else None


def repository_of(asked: Asked) -> str:
    """The repository in a path below /v2/."""
    rest = asked.path.removeprefix("/v2/")
    for mark in ("/tags/list", "/manifests/", "/blobs/"):
        if mark in rest:
            return rest.partition(mark)[0]
    return ""


def install_hub(stub: Stub, *, limit: int = 100) -> TokenAuth:
    """registry-1.docker.io, auth.docker.io and hub.docker.com. GETs of manifests count, HEADs do not."""
    auth = TokenAuth(Contents(), "https://auth.docker.io/token", "registry.docker.io", {"ada": "dckr_pat_secret"})
    auth.names = ("token", "access_token")
    left = [limit]

    def counted(asked: Asked, reply: Reply) -> Reply:
        if "/manifests/" not in asked.path:
            return reply
        if asked.method == "GET":
            if left[0] <= 0:
                text = "You have reached your pull rate limit. You may increase the limit by authenticating."
                return problem(429, "TOOMANYREQUESTS", text)
            left[0] -= 1
        reply.headers += [
            ("ratelimit-limit", f"{limit};w=21600"),
            ("ratelimit-remaining", f"{left[0]};w=21600"),
            ("docker-ratelimit-source", "192.0.2.1"),
        ]
        return reply

    def hub(asked: Asked) -> Reply:
        if asked.path == "/v2/auth/token":
            given = json.loads(asked.body)
            if auth.users.get(given.get("identifier")) != given.get("secret"):
                return Reply.json({"detail": "Incorrect authentication credentials"}, 401)
            return Reply.json({"access_token": "hub-api-token"})
        if asked.authorization not in ("", "Bearer hub-api-token"):
            return Reply.json({"message": "invalid token"}, 401)
        parts = asked.path.split("/")
        name = f"{parts[3]}/{parts[5]}"
        page = int(asked.query["page"])
        if page > 2 and not asked.authorization:
            text = "pagination offset too large for anonymous requests; sign in to page further"
            return Reply.json({"message": text, "errinfo": {}}, 403)
        tags = sorted(auth.contents.repositories[name].tags.items(), reverse=True)
        size = int(asked.query["page_size"])
        results = [
            {"name": tag, "last_updated": "2026-03-01T10:00:00.123456Z", "digest": digest, "images": []}
            for tag, digest in tags[(page - 1) * size : page * size]
        ]
        return Reply.json({"count": len(tags), "next": None, "previous": None, "results": results})

    auth.after = counted
    stub.serve("registry-1.docker.io", auth.registry)
    stub.serve("auth.docker.io", auth.token)
    stub.serve("hub.docker.com", hub)
    return auth


def install_ghcr(stub: Stub) -> TokenAuth:
    """ghcr.io and lscr.io, whose challenge names ghcr.io's token server."""
    auth = TokenAuth(Contents(page_size=2), "https://ghcr.io/token", "ghcr.io", {"ada": "ghp_secret"})
    auth.bound = False
    auth.answer = {}
    auth.refusal = (403, {"errors": [{"code": "DENIED", "message": "invalid token"}]})
    stub.serve("ghcr.io", lambda asked: auth.token(asked) if asked.path == "/token" else auth.registry(asked))
    stub.serve("lscr.io", auth.registry)
    return auth


def install_gitlab(stub: Stub) -> TokenAuth:
    """registry.gitlab.com with its tokens from gitlab.com."""
    auth = TokenAuth(
        Contents(page_size=100), "https://gitlab.com/jwt/auth", "container_registry", {"oauth2": "glpat", "bot": "gldt"}
    )
    auth.refusal = (403, {"errors": [{"code": "DENIED", "message": "access forbidden"}]})
    stub.serve("registry.gitlab.com", auth.registry)
    stub.serve("gitlab.com", lambda asked: auth.token(asked) if asked.path == "/jwt/auth" else Reply(404))
    return auth


def install_quay(stub: Stub) -> TokenAuth:
    """quay.io: the ping wants a log-in, public repositories want none; opaque marks for pages."""
    auth = TokenAuth(
        Contents(page_size=2, links="next_page"), "https://quay.io/v2/auth", "quay.io", {"team+robot": "quay_secret"}
    )

    def quay(asked: Asked) -> Reply:
        if asked.path == "/v2/auth":
            return auth.token(asked)
        name = repository_of(asked)
        is_public = name and name not in auth.private
        return auth.contents.answer(asked) if is_public and not asked.authorization else auth.registry(asked)

    stub.serve("quay.io", quay)
    return auth


def install_google(stub: Stub, host: str = "us-docker.pkg.dev", *, service: bool = True) -> TokenAuth:
    """A Google registry: tokens of its own host, key files as passwords, digests and dates in the tag list."""
    auth = TokenAuth(Contents(), f"https://{host}/v2/token", host if service else "")
    auth.contents.google_map = True
    auth.answer = {"expires_in": 3600}

    def user_of(asked: Asked) -> str | None:
        if not asked.authorization:
            return ""
        name, _, secret = base64.b64decode(asked.authorization.removeprefix("Basic ")).decode().partition(":")
        if name == "_json_key":
            return name if json.loads(secret).get("private_key") and "\\n" not in json.loads(secret) else None
        if name == "_json_key_base64":
            return name if json.loads(base64.b64decode(secret)).get("private_key") else None
        return name if (name, secret) == ("oauth2accesstoken", "ya29.token") else None

    auth.user_of = user_of  # type: ignore[method-assign]
    stub.serve(host, lambda asked: auth.token(asked) if asked.path == "/v2/token" else auth.registry(asked))
    return auth


def install_azure(stub: Stub, host: str = "team.azurecr.io") -> TokenAuth:
    """An Azure registry with its three ways to tokens, and Microsoft Entra's log-in."""
    auth = TokenAuth(Contents(), f"https://{host}/oauth2/token", host, {"client": "acr secret"})
    auth.names = ("access_token",)
    auth.scope = "repository:{name}:metadata_read"
    auth.answer = {}
    auth.accepts_basic = True

    def signed(kind: str) -> str:
        return jwt.encode({"exp": int(time.time()) + 3600, "kind": kind}, "k" * 32, algorithm="HS256")

    refresh = signed("refresh")

    def azure(asked: Asked) -> Reply:
        if asked.path == "/oauth2/exchange":
            form = asked.form
            is_right = form["access_token"] == "entra-token" and form["service"] == host and form["tenant"] == "tenant"
            return Reply.json({"refresh_token": refresh}) if is_right else Reply.json({"errors": []}, 401)
        if asked.path == "/oauth2/token" and asked.method == "POST":
            form = asked.form
            if form["refresh_token"] != refresh:
                return Reply.json({"errors": []}, 401)
            value = signed(secrets.token_hex(4))
            auth.issued[value] = ("entra", {form["scope"].split(":")[1]})
            return Reply.json({"access_token": value})
        return auth.token(asked) if asked.path == "/oauth2/token" else auth.registry(asked)

    def login(asked: Asked) -> Reply:
        form = asked.form
        is_right = asked.path == "/tenant/oauth2/v2.0/token" and form["client_secret"] == "entra secret"
        if not is_right:
            text = "AADSTS7000215: Invalid client secret provided."
            return Reply.json({"error": "invalid_client", "error_description": text}, 401)
        return Reply.json({"token_type": "Bearer", "expires_in": 3599, "access_token": "entra-token"})

    stub.serve(host, azure)
    stub.serve("login.microsoftonline.com", login)
    return auth


def install_gitea(stub: Stub, host: str = "code.forgejo.org") -> TokenAuth:
    """Gitea or Forgejo: its own token server, and a challenge with the scope ``*``."""
    auth = TokenAuth(Contents(), f"https://{host}/v2/token", "container_registry", {"ada": "gitea secret"})
    auth.scope = "*"
    stub.serve(host, lambda asked: auth.token(asked) if asked.path == "/v2/token" else auth.registry(asked))
    return auth
