"""Says whose fault it is when a message is refused as invalid, from what others answered to it lately."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from modules.application.steady_clock import steady_seconds
from modules.device_token.types import Platform
from modules.notification.types import Outcome, PushTarget, Suspect, TargetAction, TargetResult

# What one content came to lately: so many sends, for so long after the last.
KEPT_SENDS = 500
KEPT_CONTENTS = 512
KEPT_SECONDS = 600.0
# From so many sends on, more refusals than this are nothing that single targets have.
SPIKE_SENDS = 20
SPIKE_SHARE = 0.2

_Key = tuple[str, str, Platform | None]


@dataclass(slots=True)
class _Lately:
    """Whether each of the last sends of one content to one kind of target was accepted."""

    sends: deque[bool] = field(default_factory=deque)
    accepted: int = 0
    noted_at: float = 0.0

    def add(self, accepted: bool, now: float) -> None:
        self.sends.append(accepted)
        self.accepted += accepted
        if len(self.sends) > KEPT_SENDS:
            self.accepted -= self.sends.popleft()
        self.noted_at = now

    @property
    def refused(self) -> int:
        return len(self.sends) - self.accepted

    @property
    def is_spike(self) -> bool:
        return len(self.sends) >= SPIKE_SENDS and self.refused > SPIKE_SHARE * len(self.sends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """Too many targets refuse one content for it to be theirs."""

    app_id: str
    platform: Platform | None
    refused: int
    sends: int


class TargetBlame:
    """Remembers who took a content. Results that `suspect` nobody are left as they are.

    A content that others of the same app and platform accepted is right, so who refuses it is to blame, as is
    the target that the provider names: quarantined, which can be taken back. A spike of refusals is the
    content's or the credential's: nobody is blamed. `clock` gives steady seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = steady_seconds) -> None:
        self._clock = clock
        self._lately: OrderedDict[_Key, _Lately] = OrderedDict()

    def note(self, content_key: str | None, target: PushTarget, result: TargetResult) -> Spike | None:
        """Take note of an answer; a Spike when this one made it one."""
        verdict = result.classification
        accepted = verdict.outcome is Outcome.ACCEPTED
        if content_key is None or not (accepted or verdict.suspect):
            return None
        now = self._clock()
        lately = self._of(_key(content_key, target), now)
        # Where nobody has refused, one more who accepts makes no spike: every message comes here.
        was_spike = bool(lately.refused) and lately.is_spike
        lately.add(accepted, now)
        if was_spike or not lately.refused or not lately.is_spike:
            return None
        return Spike(
            app_id=target.app_id,
            platform=target.platform,
            refused=lately.refused,
            sends=len(lately.sends),
        )

    def is_undecided(self, content_key: str | None, target: PushTarget, result: TargetResult) -> bool:
        """Whether more answers can say more of a refusal: nobody has accepted yet, and few were asked."""
        if result.classification.suspect is None or content_key is None:
            return False
        lately = self._known(_key(content_key, target), self._clock())
        return lately is None or not (lately.accepted or lately.is_spike)

    def judged(self, content_key: str | None, target: PushTarget, result: TargetResult) -> TargetResult:
        """The result, its target blamed where the refusal is its own."""
        suspect = result.classification.suspect
        if suspect is None or target.platform is None:
            return result
        lately = None
        if content_key is not None:
            lately = self._known(_key(content_key, target), self._clock())
        if lately is not None and lately.is_spike:
            return result
        if suspect is Suspect.TARGET:
            return _blamed(result, "the provider names it")
        if lately is not None and lately.accepted:
            return _blamed(result, "others accepted the same message")
        return result

    def _of(self, key: _Key, now: float) -> _Lately:
        """What is known of the key, made the latest of all."""
        lately = self._known(key, now)
        if lately is None:
            lately = self._lately[key] = _Lately()
        self._lately.move_to_end(key)
        if len(self._lately) > KEPT_CONTENTS:
            self._lately.popitem(last=False)
        return lately

    def _known(self, key: _Key, now: float) -> _Lately | None:
        lately = self._lately.get(key)
        if lately is None or now - lately.noted_at > KEPT_SECONDS:
            return None
        return lately


def _key(content_key: str, target: PushTarget) -> _Key:
    # A content has parts of its own for each platform.
    return content_key, target.app_id, target.platform


def _blamed(result: TargetResult, why: str) -> TargetResult:
    verdict = result.classification
    return replace(
        result,
        classification=replace(
            verdict,
            outcome=Outcome.TARGET_DEAD,
            reason=f"the target is refused as invalid: {why}",
            target_action=TargetAction.QUARANTINE,
        ),
    )
