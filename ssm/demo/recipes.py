"""What runs in the demo's containers: small shell programs that look, and log, like the services of a small company.

They are busybox scripts (`programs/`), not the products that they remind of. Each writes a line every second or so, at
several levels, so that pages move and log views have something to colour. The registry's name is a reserved one that
nobody can own.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.fleet import ImageRecipe
from tests.fleet.images import JsonValue
from tests.fleet.recipes import SECOND_NS

REGISTRY = "registry.example"

_PROGRAMS = Path(__file__).parent / "programs"


def _recipe(repository: str, program: str, config: Mapping[str, JsonValue] | None = None) -> ImageRecipe:
    script = (_PROGRAMS / "common.sh").read_text() + (_PROGRAMS / f"{program}.sh").read_text()
    return ImageRecipe(f"{REGISTRY}/{repository}", script, config or {})


def _healthcheck(command: str, interval_s: int, retries: int) -> Mapping[str, JsonValue]:
    return {
        "Test": ["CMD-SHELL", command],
        "Interval": interval_s * SECOND_NS,
        "Timeout": 5 * SECOND_NS,
        "Retries": retries,
    }


_SERVER: Mapping[str, JsonValue] = {
    "ExposedPorts": {"80/tcp": {}},
    "Healthcheck": _healthcheck("wget -q -O /dev/null http://127.0.0.1/index.html", 15, 3),
}

WEB = _recipe("shop/web", "web", _SERVER)
API = _recipe("shop/api", "api")
WORKER = _recipe("shop/worker", "worker")
THUMBNAILS = _recipe("shop/thumbnails", "thumbnails")
DATABASE = _recipe("base/database", "database")
BLOG = _recipe("blog/site", "blog", _SERVER)
SEARCH = _recipe(
    "blog/search",
    "search",
    {"Healthcheck": _healthcheck("echo 'cluster status: red (0 of 5 shards assigned)'; exit 1", 10, 2)},
)
METRICS = _recipe("monitoring/metrics", "metrics", _SERVER)
ALERTS = _recipe("monitoring/alerts", "alerts")
BACKUP = _recipe("tools/backup", "backup")
IMPORTER = _recipe("tools/importer", "importer")
MAILER = _recipe("tools/mailer", "mailer")
