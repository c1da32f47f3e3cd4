"""Real child processes: shown, restarted, ended in order, and gone when the supervisor is."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssm.services.errors import BinaryMissing, DiskFull, ServiceFailed
from ssm.services.output import LONGEST_LINE_BYTES, LineBuffer, Output
from ssm.services.programs import Program
from ssm.services.supervisor import Supervisor, describe_exit, restart_delay

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Terminal(io.StringIO):
    """What a person would see."""

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


def python(name: str, code: str, **options) -> Program:
    return Program(name, (sys.executable, "-u", "-c", code), **options)


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.fixture
def terminal():
    return Terminal()


@pytest.fixture
def supervisor(terminal):
    supervisor = Supervisor(Output(terminal))
    yield supervisor
    supervisor.stop()


def test_start_shows_lines_with_the_name_in_front(supervisor, terminal):
    supervisor.start(python("web", "print('one'); print('two'); import time; time.sleep(60)"))

    assert supervisor.wait_until(lambda: "web      | two" in terminal.lines(), 10)
    assert "web      | one" in terminal.lines()


def test_dead_program_is_started_again_after_a_second(supervisor, terminal):
    begin = time.monotonic()
    supervisor.start(python("worker", "import sys, os; print('pid', os.getpid()); sys.exit(3)"))

    assert supervisor.wait_until(lambda: terminal.getvalue().count("| pid") == 2, 15)
    assert time.monotonic() - begin >= 1
    assert "ssm      | worker ended (exit code 3), starting it again in 1 s" in terminal.lines()


def test_restart_delay_doubles_up_to_thirty_seconds():
    assert [restart_delay(failures) for failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "exit code 0"), (1, "exit code 1"), (-9, "killed by SIGKILL"), (-1000, "killed by signal 1000")],
)
def test_exit_is_told_in_words(code, text):
    assert describe_exit(code) == text


def test_killed_program_leaves_no_child_of_its_own_behind(supervisor, terminal):
    code = "import subprocess, os, signal; child = subprocess.Popen(['sleep', '60']);"
    code += "print('child', child.pid); os.kill(os.getpid(), signal.SIGKILL)"
    supervisor.start(python("web", code))
    assert supervisor.wait_until(lambda: "killed by SIGKILL" in terminal.getvalue(), 10)

    pid = int(next(line for line in terminal.lines() if "child" in line).split()[-1])

    assert wait_gone(pid)


def test_stop_goes_backwards_through_the_stages(supervisor, terminal):
    code = "import signal, sys, time\ndef end(*_): print('{0} ends'); sys.exit(0)\n"
    code += "signal.signal(signal.SIGTERM, end); print('{0} is up'); time.sleep(60)"
    for name, stage in (("database", 0), ("web", 1)):
        program = python(name, code.format(name), stage=stage)
        supervisor.start(program, ready=lambda name=name: f"{name} is up" in terminal.getvalue())

    supervisor.stop()

    said = [line for line in terminal.lines() if "ends" in line]
    assert said == ["web      | web ends", "database | database ends"]


def test_stop_kills_a_program_that_ignores_it(supervisor, terminal):
    supervisor.start(python("web", STUBBORN, stop_seconds=0.5), ready=lambda: "| up" in terminal.getvalue())
    begin = time.monotonic()

    supervisor.stop()

    assert 0.4 < time.monotonic() - begin < 5


def test_start_of_a_program_that_fails_tells_its_last_words(supervisor):
    program = python("postgres", "import sys; print('starting'); sys.exit('FATAL: no good')")

    with pytest.raises(ServiceFailed, match="postgres did not start: FATAL: no good"):
        supervisor.start(program, ready=lambda: False)


def test_start_on_a_full_disk_is_told_as_that(supervisor):
    program = python("redis", "import sys; sys.exit('write: No space left on device')")

    with pytest.raises(DiskFull, match="redis could not start"):
        supervisor.start(program, ready=lambda: False)


def test_start_that_is_never_ready_ends_with_an_error(supervisor):
    with pytest.raises(ServiceFailed, match="web was not ready after 0 seconds"):
        supervisor.start(python("web", "import time; time.sleep(60)"), ready=lambda: False, timeout_s=0.3)


def test_start_with_leftover_of_a_killed_run_is_tried_again(supervisor, terminal, tmp_path):
    # Fails twice, as a server does while the processes of a killed run still end.
    code = f"import pathlib, sys, time; path = pathlib.Path({str(tmp_path / 'tries')!r});"
    code += "tries = len(path.read_text()) if path.exists() else 0; path.write_text('x' * (tries + 1));"
    code += "tries >= 2 or sys.exit('lock file exists'); print('up'); time.sleep(60)"

    supervisor.start(python("postgres", code, leftover="lock file"), ready=lambda: "postgres | up" in terminal.lines())

    assert (tmp_path / "tries").read_text() == "xxx"


def test_missing_program_is_told_by_name(supervisor):
    with pytest.raises(BinaryMissing, match="web: /nowhere/daphne is not on this machine"):
        supervisor.start(Program("web", ("/nowhere/daphne",)))


def test_hidden_lines_are_not_shown_but_told_in_errors(supervisor, terminal):
    program = python("redis", "import sys; print('noise Error'); sys.exit(1)", hide="noise")

    with pytest.raises(ServiceFailed, match="noise Error"):
        supervisor.start(program, ready=lambda: False)

    assert "redis    | noise Error" not in terminal.lines()


DRIVER = """
import sys
from ssm.services.output import Output
from ssm.services.programs import Program
from ssm.services.supervisor import Supervisor
supervisor = Supervisor(Output(sys.stdout))
supervisor.install_signals()
code = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
for name in ("one", "two"):
    supervisor.start(Program(name, (sys.executable, "-c", code)))
supervisor.run()
supervisor.stop()
print("ended", flush=True)
"""


def drive() -> tuple[subprocess.Popen[str], list[int]]:
    """A supervisor of two programs in a process of its own, and their process ids."""
    process = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    pids: list[int] = []
    while len(pids) < 2 and process.stdout and (line := process.stdout.readline()):
        if "| pid" in line:
            pids.append(int(line.split()[-1]))
    return process, pids


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_ends_all_within_ten_seconds(number):
    process, pids = drive()
    begin = time.monotonic()

    process.send_signal(number)
    output, _ = process.communicate(timeout=20)

    assert time.monotonic() - begin < 10
    assert output.endswith("ended\n")
    assert not [pid for pid in pids if is_alive(pid)]


def test_killed_supervisor_takes_its_programs_along():
    process, pids = drive()

    process.kill()
    process.communicate(timeout=10)

    assert len(pids) == 2
    assert all(wait_gone(pid) for pid in pids)


def test_closed_terminal_ends_all():
    process, pids = drive()
    assert process.stdout is not None

    process.stdout.close()
    os.kill(pids[0], signal.SIGKILL)  # the message about it cannot be written any more

    process.wait(timeout=20)
    assert all(wait_gone(pid) for pid in pids)


def test_line_buffer_gives_same_lines_for_any_chunks():
    text = "first\n\nthïrd\nlast without newline".encode()
    for cut in range(len(text)):
        buffer = LineBuffer()
        lines = buffer.feed(text[:cut]) + buffer.feed(text[cut:]) + buffer.end()

        assert lines == ["first", "", "thïrd", "last without newline"]


def test_line_buffer_cuts_endless_lines():
    buffer = LineBuffer()

    lines = [line for _ in range(10) for line in buffer.feed(b"x" * LONGEST_LINE_BYTES)]

    assert {len(line) for line in lines} == {LONGEST_LINE_BYTES}
    assert len(buffer.end()) <= 1


def test_output_makes_control_characters_harmless(terminal):
    Output(terminal).line("web", "\x1b]0;title\x07 red \x9b31m\r\n")

    assert terminal.lines() == ["web      | \\x1b]0;title\\x07 red \\x9b31m"]
