"""What the governor keeps of an app, without MongoDB; how it shares a rate is in tests/integration."""

from __future__ import annotations

from typing import Any

from modules.notification.internals.domain.rate_quota import RateLimits
from modules.notification.internals.guards.rate_governor import RateGovernor

LIMITS = RateLimits(quota_per_minute=60_000, ramp_seconds=60, reserved_share=0.1)


async def test_asking_for_the_pause_of_an_app_keeps_nothing_of_it() -> None:
    nowhere: Any = None
    governor = RateGovernor(nowhere, nowhere, LIMITS, app_ids=[])
    assert {governor.paused_seconds(f"invented-{number}") for number in range(20)} == {0.0}
    assert governor._credentials == {}
