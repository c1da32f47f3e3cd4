"""The download of a container's log."""

import uuid
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET

from containers.logs.download import DownloadRefused, LogDownload, parse_selection
from containers.rules.logframes import LogFormatError, LogStreamError
from containers.views.pages import find_container
from ssm.lib.access import allowed
from ssm.lib.errors import SsmError
from ssm.lib.roles import Right, holds

_UNREAD: Final = ("inspect", "environment")


@require_GET
@allowed(holds(Right.LOGS))
def log_download(request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
    """The log as a file: ``since``, ``until``, ``stream``, ``timestamps``, ``q``, ``pattern`` choose what is in it.

    Waits for the host's first answer, so that a host that can't be reached is an error and not an empty file.
    """
    container = find_container(request, pk, unread=_UNREAD, right=Right.LOGS)
    try:
        download = LogDownload(str(container.pk), parse_selection(request.GET))
        download.open()
    except DownloadRefused as error:
        return _refusal(error, 400)
    except SsmError as error:
        return _refusal(error, error.status)
    except (LogFormatError, LogStreamError) as error:
        return _refusal(SsmError(f"The log can't be read: {error}."), 502)
    response = StreamingHttpResponse(download.pieces(), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{download.file_name(container.name)}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Accel-Buffering"] = "no"
    return response


def _refusal(error: SsmError, status: int) -> HttpResponse:
    return HttpResponse(f"{error}\n", status=status, content_type="text/plain; charset=utf-8")
