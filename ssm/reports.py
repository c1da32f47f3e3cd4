"""Where browsers tell of what the content policy stopped: a page of ours that is wrong, or an attack that failed."""

import json
import logging
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from redis.exceptions import RedisError

from ssm.lib.addresses import client_address
from ssm.lib.log_lines import one_line

logger = logging.getLogger(__name__)

LARGEST: Final = 16 * 1024
# Anybody may send reports: what they can write into our log in a minute, each and together.
PER_CLIENT: Final = 20
PER_MINUTE: Final = 100
_KINDS: Final = ("application/csp-report", "application/reports+json", "application/json")
# As the old format (report-uri) and the new one (Reporting API) name the same.
_NAMES: Final = (
    ("directive", ("effective-directive", "effectiveDirective", "violated-directive")),
    ("blocked", ("blocked-uri", "blockedURL")),
    ("page", ("document-uri", "documentURL")),
    ("source", ("source-file", "sourceFile")),
    ("line", ("line-number", "lineNumber")),
)
_LONGEST: Final = 200


@csrf_exempt
@login_not_required
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """Log a violation in one line: 204, also when it is one too many; 400, 413 or 415 for what is no report.

    Reads no session and takes no CSRF token: browsers send reports by themselves.
    """
    if request.content_type not in _KINDS:
        return HttpResponse(status=415)
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return HttpResponse(status=413)
    try:
        reports = _reports(json.loads(body))
    except (ValueError, RecursionError):
        return HttpResponse(status=400)
    if not reports:
        return HttpResponse(status=400)
    if _may_log(client_address(request)):
        logger.warning("content policy violated: %s", _sentence(reports[0]))
    return HttpResponse(status=204)


def _reports(told: Any) -> list[dict[str, Any]]:
    """The violations in a body of either format."""
    if isinstance(told, dict):
        found = [told.get("csp-report")]
    elif isinstance(told, list):
        found = [
            entry.get("body") for entry in told if isinstance(entry, dict) and entry.get("type") == "csp-violation"
        ]
    else:
        found = []
    return [report for report in found if isinstance(report, dict)]


def _sentence(report: dict[str, Any]) -> str:
    parts = []
    for label, names in _NAMES:
        value = next((report[name] for name in names if isinstance(report.get(name), str | int)), "")
        # No query: it may hold what somebody searched for.
        text = one_line(str(value).partition("?")[0], _LONGEST).strip()
        if text:
            parts.append(f"{label} {text}")
    return ", ".join(parts) or "nothing said"


def _may_log(address: str) -> bool:
    """Count the report; False when there were too many in this minute."""
    try:
        return _count(f"csp-reports:{address}") <= PER_CLIENT and _count("csp-reports") <= PER_MINUTE
    except RedisError:
        return False


def _count(key: str) -> int:
    cache.add(key, 0, 60)
    try:
        return cache.incr(key)
    except ValueError:
        return 1  # it ran out just now
