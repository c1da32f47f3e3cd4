"""Whether the web process of this container answers: exit code 0 or 1, for HEALTHCHECK."""

import http.client
import sys

TIMEOUT_S = 4


def main() -> int:
    """Ask /healthz; any answer but a server error will do, as SSM_ALLOWED_HOSTS may leave the loopback address out."""
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status < 500 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
