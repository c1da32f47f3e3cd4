"""The fleet's own registry: Debian's docker-registry on the bridge, filled with the demo images."""

import functools
import gzip
import http.client
import json
import signal
import subprocess
import urllib.parse
from collections.abc import Mapping

from tests.fleet.errors import FleetError
from tests.fleet.images import TAGS, ImageRecipe, build_image, digest
from tests.fleet.inventory import RegistryEntry
from tests.fleet.layout import REGISTRY_PORT, Layout
from tests.fleet.network import Network
from tests.fleet.packages import BASE, PackageCache
from tests.fleet.processes import end_process, is_marked, marked
from tests.fleet.recipes import DEMO_RECIPES
from tests.fleet.shell import wait_until, write_file

_NAME = "registry"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@functools.lru_cache(maxsize=8)
def _packed(layer: bytes) -> bytes:
    return gzip.compress(layer, 6, mtime=0)


class Registry:
    """One registry process per fleet; plain HTTP, no accounts."""

    def __init__(self, layout: Layout, packages: PackageCache, network: Network) -> None:
        self._layout = layout
        self._packages = packages
        self._network = network

    def start(self) -> None:
        """Have the registry running with every release of the demo images."""
        self._packages.fetch(BASE)
        self._network.up()
        if not self.is_up():
            self._spawn()
            wait_until(self.is_up, 20, "the registry")
        present = self.entry().images
        for recipe in DEMO_RECIPES:
            for tag in TAGS:
                if tag not in present.get(recipe.name, ()):
                    self.push(recipe, tag)

    def stop(self) -> None:
        """End the registry's process."""
        for pid in marked(self._layout).get(_NAME, []):
            end_process(pid, functools.partial(is_marked, self._layout, pid, _NAME), by=signal.SIGTERM)

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self._request("GET", "/v2/")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def entry(self) -> RegistryEntry:
        """Address and content, as the inventory tells them."""
        images: dict[str, tuple[str, ...]] = {}
        up = self.is_up()
        if up:
            for name in json.loads(self._request("GET", "/v2/_catalog")[2])["repositories"]:
                listed = json.loads(self._request("GET", f"/v2/{name}/tags/list")[2])
                images[name] = tuple(sorted(listed.get("tags") or []))
        return RegistryEntry(
            up=up, address=self._layout.registry, url=f"http://{self._layout.registry}", insecure=True, images=images
        )

    def push(self, recipe: ImageRecipe, tag: str, revision: str = "") -> str:
        """Publish one release, or publish it again under another `revision`; returns the manifest's digest."""
        built = build_image(recipe, tag, self._packages.tool("busybox"), revision)
        descriptors = [self._upload(recipe.name, built.config, _CONFIG)]
        descriptors += [self._upload(recipe.name, _packed(layer), _LAYER) for layer in built.layers]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": _MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
        ).encode()
        headers = {"Content-Type": _MANIFEST}
        status, answer, body = self._request("PUT", f"/v2/{recipe.name}/manifests/{tag}", manifest, headers)
        if status != 201:
            raise FleetError(f"registry, manifest of {recipe.name}:{tag}: status {status}: {body[:200]!r}")
        return answer.get("docker-content-digest", "")

    def _upload(self, name: str, data: bytes, media_type: str) -> dict[str, str | int]:
        reference = f"sha256:{digest(data)}"
        descriptor: dict[str, str | int] = {"mediaType": media_type, "size": len(data), "digest": reference}
        if self._request("HEAD", f"/v2/{name}/blobs/{reference}")[0] == 200:
            return descriptor
        status, answer, body = self._request("POST", f"/v2/{name}/blobs/uploads/", b"", {"Content-Length": "0"})
        if status != 202:
            raise FleetError(f"registry, upload to {name}: status {status}: {body[:200]!r}")
        place = urllib.parse.urlsplit(answer["location"])
        status, _answer, body = self._request(
            *("PUT", f"{place.path}?{place.query}&digest={reference}", data),
            {"Content-Type": "application/octet-stream"},
        )
        if status != 201:
            raise FleetError(f"registry, blob of {name}: status {status}: {body[:200]!r}")
        return descriptor

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._layout.gateway, REGISTRY_PORT, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def _spawn(self) -> None:
        place = self._layout.directory / "registry"
        (place / "data").mkdir(parents=True, exist_ok=True)
        config = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(place / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self._layout.registry},
        }
        write_file(place / "config.yml", json.dumps(config))
        with (place / "log").open("ab") as log:
            subprocess.Popen(
                [self._packages.tool("docker-registry"), "serve", str(place / "config.yml")],
                env=self._packages.tool_environment(_NAME),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
