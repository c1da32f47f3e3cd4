"""Whether a process of SSM is well: exit code 0 or 1, for health checks. Argument: web (default), worker, transfers,
scheduler or listener; it has to run on the same host name as this.

The web process is asked; the others tell in Redis every ten seconds that they are there. Loads neither Django nor
SSM, as it runs every few seconds beside each process.
"""

import http.client
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 4
KINDS = ("web", "worker", "transfers", "scheduler", "listener")
# As ssm.lib.presence has them; a test compares.
NAMES = "ssm:presence"
SILENT_AFTER_S = 35.0


def main() -> int:
    """Exit code 0 when well, 1 when not, 2 for a wrong argument."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "web"
    if kind not in KINDS:
        sys.stderr.write(f"healthy: {kind}: give one of {', '.join(KINDS)}\n")
        return 2
    is_well = web_answers(int(os.environ.get("SSM_HTTP_PORT") or 8000)) if kind == "web" else is_heard(kind)
    return 0 if is_well else 1


def web_answers(port: int) -> bool:
    """Ask /healthz; any answer but a server error will do, as SSM_ALLOWED_HOSTS may leave the loopback address out."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_heard(kind: str) -> bool:
    """Whether a process of this kind and host name told of itself lately.

    True also while Redis is away: that is no fault of the process, and starting it anew would not help. A Redis that
    answers and refuses is a wrong setting, and not well.
    """
    import redis  # only here: the web process needs none, and this costs a tenth of a second

    try:
        store = redis.Redis.from_url(redis_url(), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        seconds, micros = store.time()
        since = int(seconds) + int(micros) / 1e6 - SILENT_AFTER_S
        names: Any = store.zrangebyscore(NAMES, since, "+inf", 0, 500)
        texts: Any = store.mget([f"{NAMES}:{name.decode()}" for name in names]) if names else []
    except redis.AuthenticationError:
        return False
    except (redis.ConnectionError, redis.TimeoutError):
        return True
    except redis.RedisError:
        return False
    host = socket.gethostname()[:64]
    return any((told.get("kind"), told.get("host")) == (kind, host) for told in map(_told, texts))


def redis_url() -> str:
    """REDIS_URL, or what the file of REDIS_URL_FILE says."""
    path = os.environ.get("REDIS_URL_FILE")
    return Path(path).read_text().strip() if path else os.environ.get("REDIS_URL", "")


def _told(text: bytes | None) -> dict[str, Any]:
    try:
        told = json.loads(text or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
