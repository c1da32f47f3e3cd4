"""The pages that rows leave and enter by as a file: what those of devices and of registries share."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ssm.lib.transfer import FORMATS, MOST_BYTES, Planned, Result, TransferFault, read, write

_MOST_CHOSEN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Pages:
    """What is particular: the word for it, the URL names, what is taken over and how."""

    what: str
    heading: str
    list_url: str
    url: str
    export_url: str
    plan: Callable[[Mapping[str, Any]], list[Planned]]
    apply: Callable[[Sequence[Planned], Collection[str], bool], list[Result]]
    has_host_keys: bool = False


class FileForm(forms.Form):
    """A file or its text."""

    file = forms.FileField(required=False, max_length=255, label="File of an export")
    text = forms.CharField(
        required=False,
        strip=False,
        max_length=MOST_BYTES,
        label="Or its text",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, what: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._what = what
        self.document: dict[str, Any] = {}

    def clean(self) -> dict[str, Any]:
        """Read the document."""
        data = super().clean() or self.cleaned_data
        uploaded = data.get("file")
        if uploaded is not None:
            if uploaded.size > MOST_BYTES:
                self.add_error("file", f"This file is larger than {MOST_BYTES // 1024 // 1024} MiB.")
                return data
            data["text"] = uploaded.read().decode("utf-8", "replace")
        if self.errors:
            return data
        place = "file" if uploaded is not None else "text"
        if not data.get("text", "").strip():
            self.add_error(place, "Choose a file, or paste its text.")
            return data
        try:
            self.document = read(data["text"], self._what)
        except TransferFault as exc:
            self.add_error(place, str(exc))
        return data


def export(document: Mapping[str, Any], form: str) -> HttpResponse:
    """A document as a file to be saved; YAML unless JSON is asked for."""
    form = form if form in FORMATS else "yaml"
    response = HttpResponse(write(document, form), content_type=f"{FORMATS[form][0]}; charset=utf-8")
    name = f"ssm-{document['ssm']}-{datetime.now(UTC):%Y%m%d}.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def transfer(request: HttpRequest, pages: Pages) -> HttpResponse:
    """The page; its POST shows the preview, that of the preview (``step`` is apply) takes the chosen entries over."""
    if request.method != "POST":
        return _first(request, pages, FileForm(what=pages.what))
    form = FileForm(request.POST, request.FILES, what=pages.what)
    if not form.is_valid():
        return _first(request, pages, form, status=422)
    try:
        planned = pages.plan(form.document)
    except TransferFault as exc:
        form.add_error("text", str(exc))
        return _first(request, pages, form, status=422)
    if request.POST.get("step") == "apply":
        chosen = set(request.POST.getlist("entry")[:_MOST_CHOSEN])
        return _results(request, pages, pages.apply(planned, chosen, bool(request.POST.get("trust_keys"))))
    context = {
        "pages": pages,
        "planned": planned,
        "counts": Counter(one.state for one in planned),
        "takeable": sum(one.may_be_taken for one in planned),
        "text": form.cleaned_data["text"],
    }
    return render(request, "transfer/preview.html", context)


def _first(request: HttpRequest, pages: Pages, form: FileForm, status: int = 200) -> HttpResponse:
    return render(request, "transfer/index.html", {"pages": pages, "form": form, "formats": FORMATS}, status=status)


def _results(request: HttpRequest, pages: Pages, results: Sequence[Result]) -> HttpResponse:
    counts = Counter(result.outcome for result in results)
    if taken := counts["added"] + counts["updated"]:
        messages.success(request, f"{taken} {'entry' if taken == 1 else 'entries'} taken over.")
    return render(request, "transfer/results.html", {"pages": pages, "results": results, "counts": counts})
