"""What the proxies' files have to say whatever the proxy is. Caddy's is used, and nginx's read, in `test_compose`."""

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "proxy"


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_proxy_bounds_bodies_and_lets_archives_through(name: str) -> None:
    text = (FOLDER / name).read_text()

    assert "/backups/upload/" in text
    assert "12g" in text.lower()
    assert "4m" in text.lower()


def test_nginx_passes_on_what_ssm_believes_and_drops_the_clients_own() -> None:
    text = (FOLDER / "nginx.conf").read_text()

    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert "$proxy_add_x_forwarded_for" not in text
    for line in (
        "proxy_set_header Host $host;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_buffering off;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
    ):
        assert line in text


def test_traefik_names_only_what_it_has() -> None:
    told: dict[str, Any] = yaml.safe_load((FOLDER / "traefik.yaml").read_text())["http"]

    for router in told["routers"].values():
        assert router["service"] in told["services"]
        assert set(router.get("middlewares", [])) <= set(told["middlewares"])
        assert "Host(`ssm.example.com`)" in router["rule"]
        assert "tls" in router or router["entryPoints"] == ["web"]
    used = {name for router in told["routers"].values() for name in router.get("middlewares", [])}
    assert used == set(told["middlewares"])
