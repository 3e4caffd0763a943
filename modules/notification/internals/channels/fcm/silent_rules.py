"""What a push that shows nothing may say, and what one that shows something may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from modules.application.param_rules import ProblemList, member_path
from modules.notification.types import AndroidOptions, ApnsOptions, SendPushParams, WebPushOptions

BACKGROUND: Final = "background"
# Apple, "Sending notification requests to APNs": 10 is an error for a push with content-available alone.
BACKGROUND_PRIORITY: Final = "5"

_SHOWN = "a silent push, one without title and body, shows nothing: leave this out"


def check_text(params: SendPushParams, problems: ProblemList) -> tuple[str | None, str | None]:
    """Title and body as they can be sent: both or neither, and without them there is data."""
    if params.is_silent:
        if isinstance(params.data, Mapping) and not params.data:
            for field in ("title", "body"):
                problems.add("required", field, "must be given, or data alone for a silent push")
        return None, None
    return problems.required_text(params.title, "title"), problems.required_text(params.body, "body")


def check_silence(params: SendPushParams, problems: ProblemList) -> None:
    """Note whatever a silent push would have to show or play, and a background push that is not silent.

    Apple, "Pushing background updates to your App": beside content-available no key that is about a person.
    """
    if params.is_silent:
        for field in _shown(params):
            problems.add("conflict", field, _SHOWN)
    for field, name, value in _headers(params.apns):
        if name == "apns-push-type" and params.is_silent is not (value == BACKGROUND):
            reason = f"is {BACKGROUND} for a silent push, and for no other"
            problems.add("conflict", field, reason)
        elif name == "apns-priority" and params.is_silent and value == "10":
            problems.add("conflict", field, "APNs takes a silent push with priority 5 or 1 only")


def _shown(params: SendPushParams) -> Iterator[str]:
    """The fields that are about what a person sees or hears."""
    for name in ("image_url", "click_action"):
        if getattr(params, name) is not None:
            yield name
    for place, kind, names in (
        ("android", AndroidOptions, ("channel_id", "sound", "click_action")),
        ("apns", ApnsOptions, ("badge", "sound", "thread_id", "category", "interruption_level")),
        ("webpush", WebPushOptions, ("link",)),
    ):
        options = getattr(params, place)
        if isinstance(options, kind):
            yield from (f"{place}.{name}" for name in names if getattr(options, name) is not None)


def _headers(options: object) -> Iterator[tuple[str, str, str]]:
    """The path, the name and the value of each header that can be read."""
    if isinstance(options, ApnsOptions) and isinstance(options.headers, Mapping):
        for name, value in options.headers.items():
            if isinstance(name, str) and isinstance(value, str):
                yield member_path("apns.headers", name), name.lower(), value
