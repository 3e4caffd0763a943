"""Which instruction a send follows: the first rule that still applies, else what its target says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator.instructions import Instruction, read_target


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMatch:
    """Which sends a rule is for: all that is given must hold; nothing given matches every send."""

    token: str | None = None
    prefix: str | None = None
    project: str | None = None

    def matches(self, project: str, target: str) -> bool:
        return (
            (self.token is None or self.token == target)
            and (self.prefix is None or target.startswith(self.prefix))
            and (self.project is None or self.project == project)
        )


@dataclass(slots=True)
class _Rule:
    rule_id: int
    match: RuleMatch
    instruction: Instruction
    matched: int = 0

    @property
    def remaining(self) -> int | None:
        times = self.instruction.times
        return None if times is None else times - self.matched


@dataclass(slots=True)
class RuleBook:
    """Rules in the order they were made, how often each was used, and which project a target belongs to."""

    _rules: list[_Rule] = field(default_factory=list)
    _last_id: int = 0
    _used: dict[tuple[str, str], int] = field(default_factory=dict)
    _projects: dict[str, str] = field(default_factory=dict)

    def add(self, match: RuleMatch, instruction: Instruction) -> int:
        """Return the rule's id."""
        self._last_id += 1
        self._rules.append(_Rule(self._last_id, match, instruction))
        return self._last_id

    def remove(self, rule_id: int) -> bool:
        """False if there is no such rule."""
        kept = [rule for rule in self._rules if rule.rule_id != rule_id]
        removed = len(kept) < len(self._rules)
        self._rules = kept
        return removed

    def clear_rules(self) -> None:
        self._rules.clear()

    def register(self, project: str, targets: list[str]) -> None:
        """Say that the targets belong to the project: sends of any other are a SENDER_ID_MISMATCH."""
        self._projects.update(dict.fromkeys(targets, project))

    def reset(self) -> None:
        """Forget the rules, the registrations, and how often targets have failed."""
        self._rules.clear()
        self._used.clear()
        self._projects.clear()

    def instruction_for(self, project: str, target: str) -> Instruction | None:
        """What to do with this send; counts it. Raises InvalidInstructionError for an unknown text."""
        for rule in self._rules:
            if rule.remaining != 0 and rule.match.matches(project, target):
                rule.matched += 1
                return rule.instruction
        text = read_target(target)
        owner = self._projects.get(target) or text.project
        if owner is not None and owner != project:
            return Instruction(error_code="SENDER_ID_MISMATCH")
        instruction = text.instruction
        if instruction is None or instruction.times is None:
            return instruction
        used = self._used.get((project, target), 0)
        if used >= instruction.times:
            return None
        self._used[project, target] = used + 1
        return instruction

    def describe(self) -> Iterator[dict[str, Any]]:
        """Each rule with how often it matched and how often it still can."""
        for rule in self._rules:
            yield {
                "id": rule.rule_id,
                "answer": rule.instruction.name,
                "effect": rule.instruction.effect,
                "matched": rule.matched,
                "remaining": rule.remaining,
            }
