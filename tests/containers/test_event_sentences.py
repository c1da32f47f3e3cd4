"""What events say to people."""

from dataclasses import dataclass, field

import pytest

from containers.rules.events import Severity, describe
from containers.rules.sentences import exit_meaning


@dataclass(frozen=True, slots=True)
class Said:
    kind: str
    action: str
    attributes: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("event", "text", "severity"),
    [
        (Said("container", "start"), "started", Severity.GOOD),
        (Said("container", "die", {"exitCode": "0"}), "ended (exit code 0)", Severity.INFO),
        (Said("container", "die", {"exitCode": "1"}), "failed (exit code 1)", Severity.BAD),
        (Said("container", "die", {"exitCode": "137"}), "failed (exit code 137: killed)", Severity.BAD),
        (Said("container", "die", {"exitCode": "139"}), "failed (exit code 139: segmentation fault)", Severity.BAD),
        (
            Said("container", "die", {"exitCode": "143"}),
            "ended as it was asked to (exit code 143: terminated)",
            Severity.INFO,
        ),
        (
            Said("container", "die", {"exitCode": "127"}),
            "failed (exit code 127: its command was not found)",
            Severity.BAD,
        ),
        (Said("container", "die"), "ended", Severity.INFO),
        (Said("container", "die", {"exitCode": "²"}), "ended", Severity.INFO),
        (Said("container", "oom"), "ran out of memory", Severity.BAD),
        (Said("container", "kill", {"signal": "15"}), "got the signal SIGTERM", Severity.INFO),
        (Said("container", "kill", {"signal": "SIGHUP"}), "got the signal SIGHUP", Severity.INFO),
        (Said("container", "kill"), "got the signal to end", Severity.INFO),
        (Said("container", "health_status: unhealthy"), "is unhealthy", Severity.BAD),
        (Said("container", "health_status: healthy"), "is healthy", Severity.GOOD),
        (Said("container", "health_status", {"health_status": "unhealthy"}), "is unhealthy", Severity.BAD),
        (Said("container", "rename", {"oldName": "/old"}), "was renamed, it was old", Severity.INFO),
        (Said("image", "pull"), "was pulled", Severity.INFO),
        (Said("volume", "prune"), "unused volumes were pruned", Severity.INFO),
        (
            Said("network", "connect", {"container": "ab" * 32}),
            "was connected to container abababababab",
            Severity.INFO,
        ),
        (Said("daemon", "reload"), "read its configuration anew", Severity.INFO),
        (Said("builder", "prune"), "build cache was pruned", Severity.INFO),
        (Said("novelty", "turn_inside_out"), "turn inside out", Severity.INFO),
    ],
    ids=lambda value: f"{value.kind} {value.action} {value.attributes}" if isinstance(value, Said) else None,
)
def test_describe_tells_what_happened_and_how_much_it_matters(event: Said, text: str, severity: Severity) -> None:
    sentence = describe(event)

    assert (sentence.text, sentence.severity) == (text, severity)
    assert sentence.icon


@pytest.mark.parametrize(("code", "meaning"), [(0, ""), (1, ""), (128, ""), (255, ""), (134, "aborted"), (126, "its")])
def test_exit_meaning_is_empty_where_the_number_says_no_more(code: int, meaning: str) -> None:
    assert exit_meaning(code).startswith(meaning)
    assert bool(exit_meaning(code)) is bool(meaning)
