"""What Prometheus is told about deliveries."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ATTEMPTS = Counter("push_attempts_total", "Attempts at a device, by what they meant.", ["outcome", "code"])
SETTLED = Counter("push_rows_settled_total", "Rows that a delivery left in a status.", ["status"])
LOST_CLAIMS = Counter("push_claims_lost_total", "Claims whose lease ran out without a word.")
REFUSED_WRITES = Counter("push_fenced_writes_total", "Outcomes refused because the row has a newer owner.")
BREAKER_OPENED = Counter(
    "push_breaker_opened_total", "Times a credential was closed to sends.", ["app_id", "code"]
)
ATTEMPT_SECONDS = Histogram("push_attempt_seconds", "Time one attempt took at the provider.")
