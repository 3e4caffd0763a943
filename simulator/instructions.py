"""What a send is told to come to, by the text of its target; the grammar is in README.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.exchange import ANSWER_HIDDEN, UNPROCESSED, Effect
from simulator.fcm_errors import FCM_ERRORS

OK = "OK"


class InvalidInstructionError(ValueError):
    """An instruction that cannot be followed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """How one send is answered.

    At most one of `error_code` and `http_status`; without either the answer is a success. `accepted` None
    means: accepted if the answer is a success. `times` None means for ever. `page_kib`: instead of JSON, a
    status is answered with a page of HTML of that size.
    """

    error_code: str | None = None
    http_status: int | None = None
    effect: Effect = Effect.NONE
    retry_after_seconds: int | None = None
    delay_ms: int = 0
    quota: str = "project"
    accepted: bool | None = None
    times: int | None = None
    page_kib: int | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.error_code is not None and self.http_status is not None:
            raise InvalidInstructionError("error_code and http_status exclude each other")
        if self.page_kib is not None and self.http_status is None:
            raise InvalidInstructionError("page_kib goes with http_status")
        if self.effect in UNPROCESSED and (self.is_error or self.accepted is not None):
            raise InvalidInstructionError(f"{self.effect} leaves no answer and nothing accepted")
        if self.accepted is False and not self.is_error and self.effect not in ANSWER_HIDDEN:
            raise InvalidInstructionError("a success cannot be answered for a message that is not accepted")

    @property
    def is_error(self) -> bool:
        return self.error_code is not None or self.http_status is not None

    @property
    def is_accepted(self) -> bool:
        if self.effect in UNPROCESSED:
            return False
        return self.accepted if self.accepted is not None else not self.is_error

    @property
    def name(self) -> str:
        """What the counts and the refusals call it."""
        if self.effect in UNPROCESSED:
            return self.effect.value
        return self.error_code or (f"HTTP_{self.http_status}" if self.http_status else OK)


@dataclass(frozen=True, slots=True)
class TargetText:
    """What a target's text says: the project it is registered with, and what to do with sends to it."""

    project: str | None = None
    instruction: Instruction | None = None


_MARKER = re.compile(r"(?<![A-Za-z0-9])sim-")
_PROJECT = re.compile(r"(?<![A-Za-z0-9])sim-project:([a-z0-9-]+):")
_EFFECTS = {effect.value.replace("_", "-"): effect for effect in Effect if effect is not Effect.NONE}
_WHAT = "|".join(sorted([*FCM_ERRORS, *_EFFECTS, "ok"], key=len, reverse=True))
_OPTION = r"\+(?:retry-after=\d{1,5}|delay=\d{1,6}|quota=(?:project|device|topic)|not-accepted|accepted)"
_INSTRUCTION = re.compile(
    rf"(?<![A-Za-z0-9])sim-(?P<what>{_WHAT}|[345]\d\d)(?:\*(?P<times>\d{{1,6}}))?(?P<options>(?:{_OPTION})*)(?=-|$)"
)
_PLAIN = TargetText()


def read_target(text: str) -> TargetText:
    """Raise InvalidInstructionError for a target that says `sim-` and then nothing that is known."""
    if "sim-" not in text:
        return _PLAIN
    markers = len(_MARKER.findall(text))
    projects = _PROJECT.findall(text)
    instructions = [_instruction(match) for match in _INSTRUCTION.finditer(text)]
    if len(projects) > 1 or len(instructions) > 1 or markers != len(projects) + len(instructions):
        raise InvalidInstructionError("the target holds 'sim-' without an instruction of simulator/README.md")
    return TargetText(projects[0] if projects else None, instructions[0] if instructions else None)


def _instruction(match: re.Match[str]) -> Instruction:
    what, times = match["what"], match["times"]
    options = dict(option.partition("=")[::2] for option in match["options"].split("+")[1:])
    accepted = True if "accepted" in options else False if "not-accepted" in options else None
    return Instruction(
        error_code=what if what in FCM_ERRORS else None,
        http_status=int(what) if what.isdigit() else None,
        effect=_EFFECTS.get(what, Effect.NONE),
        retry_after_seconds=int(options["retry-after"]) if "retry-after" in options else None,
        delay_ms=int(options.get("delay", 0)),
        quota=options.get("quota", "project"),
        accepted=accepted,
        times=int(times) if times else None,
    )
