"""The bodies that the control endpoint takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.exchange import Effect
from simulator.fcm_errors import FCM_ERRORS
from simulator.instructions import Instruction, InvalidInstructionError
from simulator.rule_book import RuleMatch
from simulator.token_endpoint import EXPIRES_IN_SECONDS, TokenBehaviour, TokenMode

Count = Annotated[int, Field(ge=1)]
Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MatchBody(_Body):
    """Which sends: an exact target, its beginning, a project, or, with `any`, all of them."""

    token: str | None = None
    prefix: str | None = None
    project: str | None = None
    any: Literal[True] | None = None

    def as_match(self) -> RuleMatch:
        conditions = self.model_dump(exclude_none=True)
        if not conditions or ("any" in conditions and len(conditions) > 1):
            raise InvalidInstructionError("match needs token, prefix or project, or any alone")
        return RuleMatch(token=self.token, prefix=self.prefix, project=self.project)


class RuleBody(_Body):
    """One rule: which sends, and how they are answered; see instructions.Instruction."""

    match: MatchBody
    error_code: str | None = None
    http_status: Annotated[int, Field(ge=300, le=599)] | None = None
    effect: Annotated[Effect, Field(strict=False)] = Effect.NONE
    retry_after_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    delay_ms: Milliseconds = 0
    quota: Literal["project", "device", "topic"] = "project"
    accepted: bool | None = None
    times: Count | None = None
    page_kib: Annotated[int, Field(ge=1, le=4096)] | None = None

    def as_instruction(self) -> Instruction:
        if self.error_code is not None and self.error_code not in FCM_ERRORS:
            raise InvalidInstructionError(f"error_code must be one of {', '.join(FCM_ERRORS)}")
        return Instruction(**self.model_dump(exclude={"match"}))


class GoawayBody(_Body):
    """Close each HTTP/2 connection gracefully after so many sends; null ends that."""

    requests: Count | None


class LatencyBody(_Body):
    """How long every send takes at least."""

    latency_ms: Milliseconds


class OauthBody(_Body):
    """See token_endpoint.TokenBehaviour."""

    mode: Annotated[TokenMode, Field(strict=False)] = TokenMode.OK
    delay_ms: Milliseconds = 0
    expires_in_seconds: Annotated[int, Field(ge=1, le=3600)] = EXPIRES_IN_SECONDS
    project: str | None = None
    times: Count | None = None

    def as_behaviour(self) -> TokenBehaviour:
        return TokenBehaviour(**self.model_dump())


class RegistrationsBody(_Body):
    """Targets that belong to the project."""

    project: str
    targets: list[str]


class CapturesBody(_Body):
    """How many of the latest requests to keep."""

    keep: Annotated[int, Field(ge=0, le=100_000)]
