"""Explain what is offered as an update, and why not something else.

For a container (its id, or its name with --device), for a list of tags on standard input (--current), or for cases in
a file (--cases). Only the first needs the database.
"""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from containers.models import Container
from containers.rules.candidates import Rules, choose_tag
from containers.rules.cases import UnknownCaseError, answer_case
from containers.rules.reasons import NOTES
from containers.rules.traces import Trace, lines_of, steps_from
from containers.updates.evaluation import evaluate

# Of a file of cases, and of standard input.
_MAX_BYTES = 50 * 1024 * 1024


class Command(BaseCommand):
    """Prints steps, or one JSON object a line."""

    help = __doc__
    # A tag list and a file of cases are answered without any service.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("container", nargs="?", help="name or id of a container")
        parser.add_argument("--device", default="", help="the device that the container runs on, by its name")
        parser.add_argument("--current", help="the current tag; the registry's tags are read from standard input")
        parser.add_argument("--include", default="", help="as wud.tag.include")
        parser.add_argument("--exclude", default="", help="as wud.tag.exclude")
        parser.add_argument("--transform", default="", help="as wud.tag.transform")
        parser.add_argument("--stay", default="", choices=["", "major", "minor"], help="stay on this line")
        parser.add_argument("--ignore", action="append", default=[], metavar="TAG", help="a tag not to be offered")
        parser.add_argument("--cases", metavar="FILE", help="a JSON list of cases (“-”: standard input)")

    def handle(self, **options: Any) -> None:
        if options["cases"]:
            self._answer_cases(options["cases"])
        elif options["current"] is not None:
            self._explain_tags(options)
        elif options["container"]:
            self._explain_container(options["container"], options["device"])
        else:
            raise CommandError("Give a container, or --current with tags on standard input, or --cases FILE.")

    def _answer_cases(self, name: str) -> None:
        try:
            text = sys.stdin.read(_MAX_BYTES) if name == "-" else Path(name).read_text(encoding="utf-8")
            cases = json.loads(text)
        except OSError as exc:
            raise CommandError(f"The file {name} cannot be read: {exc.strerror}.") from exc
        except (ValueError, RecursionError) as exc:
            raise CommandError(f"{name} holds no JSON: {exc}.") from exc
        if not isinstance(cases, list):
            raise CommandError(f"{name} must hold a list of cases.")
        wrong = 0
        for place, case in enumerate(cases):
            identity = case.get("id", place) if isinstance(case, dict) else place
            try:
                answer: dict[str, Any] = {"id": identity, "got": answer_case(case)[0]}
            except UnknownCaseError as exc:
                answer = {"id": identity, "error": str(exc)}
                wrong += 1
            self.stdout.write(json.dumps(answer, ensure_ascii=False))
        if wrong:
            raise CommandError(f"{wrong} of {len(cases)} cases could not be read.")

    def _explain_tags(self, options: dict[str, Any]) -> None:
        tags = sys.stdin.read(_MAX_BYTES).split()
        rules = Rules(
            options["include"].strip(),
            options["exclude"].strip(),
            options["transform"].strip(),
            ignored=frozenset(options["ignore"]),
            stay=options["stay"],
        )
        trace = Trace()
        choice = choose_tag(options["current"], tags, rules, trace)
        for line in lines_of(trace.steps):
            self.stdout.write(line)
        self.stdout.write(f"update: {choice.update or 'none'} ({choice.change})")

    def _explain_container(self, name: str, device: str) -> None:
        container = _find(name, device)
        evaluate([container.pk])
        container.refresh_from_db()
        status = getattr(container, "update", None)
        if status is None:
            raise CommandError(f"{container} is gone from its host: nothing is decided for it.")
        self.stdout.write(f"{container}: {status.get_state_display()}")
        for line in lines_of(steps_from(status.trace)):
            self.stdout.write(line)
        if status.state != "update_available":
            words = status.words
            self.stdout.write(" ".join(text for text in (words.text, status.detail, words.fix) if text))
        elif status.offered_tag:
            self.stdout.write(f"update: {status.tag} → {status.offered_tag} ({status.change})")
        if status.has_digest_update:
            self.stdout.write(f"{status.tag} was rebuilt: {status.local_digest} → {status.remote_digest}")
        for note in status.notes:
            self.stdout.write(f"note: {NOTES.get(note, note)}")
        for warning in container.label_warnings:
            self.stdout.write(f"label {warning['label']}: {warning['text']}")


def _find(name: str, device: str) -> Container:
    containers = Container.objects.present().select_related("device")
    if device:
        containers = containers.filter(device__name=device)
    try:
        by_id = containers.filter(pk=name)[:1]
        if by_id:
            return by_id[0]
    except (ValidationError, ValueError):
        pass  # a name
    found = list(containers.filter(Q(name=name) | Q(engine_id__startswith=name.lower())).order_by("device__name")[:20])
    if not found:
        raise CommandError(f"No container is called {name}{f' on {device}' if device else ''}.")
    if len(found) > 1:
        hosts = ", ".join(row.device.name for row in found)
        raise CommandError(f"Several containers are called {name}: say which with --device ({hosts}).")
    return found[0]
