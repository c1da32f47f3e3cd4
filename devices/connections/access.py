"""What the way to an engine allows, found out by asking for things that cannot happen."""

import secrets
from dataclasses import dataclass

from devices.docker.engine import Engine
from devices.errors import CommandsRefused, ConnectionLost, DeviceError, EngineError
from devices.rules.grades import ABILITIES, Grade, Question, grade_of, is_refusal
from devices.ssh.session import ChannelRefused

COMMANDS_S = 5.0


@dataclass(frozen=True, slots=True)
class Access:
    """Keys of the abilities that are there (`rules.grades`), and whether the host runs commands for SSM's figures."""

    abilities: tuple[str, ...]
    runs_commands: bool

    @property
    def grade(self) -> Grade:
        """The grade that these abilities amount to."""
        return grade_of(self.abilities)


def look_at_access(engine: Engine) -> Access:
    """Ask about each ability, one after the other: some twenty small requests. Nothing on the host changes.

    DeviceError when the engine stops answering.
    """
    name = f"ssm-asks-only-{secrets.token_hex(8)}"
    had = [
        ability.key
        for ability in ABILITIES
        if all(not is_refusal(_status(engine, question, name)) for question in ability.questions)
    ]
    return Access(tuple(had), _runs_commands(engine))


def _status(engine: Engine, question: Question, name: str) -> int:
    path = question.path.replace("{name}", name)
    try:
        if question.method == "POST":
            return engine.post(path, question.parameters, question.body)[0]
        if question.method == "DELETE":
            return engine.delete(path, question.parameters)
        if path != "/events":
            engine.get_json(path, question.parameters)
            return 200
        # Its answer may never end: it is left after its head.
        with engine.stream(path, question.parameters, read_timeout_s=engine.target.request_timeout_s) as stream:
            return stream.status
    except EngineError as exc:
        return exc.engine_status


def _runs_commands(engine: Engine) -> bool:
    try:
        result = engine.run_program(["sh", "-c", "echo ssm-$((40+2))"], COMMANDS_S)
    except (ChannelRefused, CommandsRefused):
        return False
    except ConnectionLost:
        if not engine.is_open:
            raise
        return False
    except DeviceError:
        return False
    return "ssm-42" in result.output
