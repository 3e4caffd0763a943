"""The rule that turns an account's preferences into a decision: category, then account, then system."""

from __future__ import annotations

from modules.preference.types import SYSTEM_DEFAULT_ALLOWED, Decision, Preferences


def decide(preferences: Preferences | None, category: str) -> Decision:
    """The decision for one category; `preferences` None when the account has recorded none."""
    if preferences is not None:
        by_category = preferences.categories.get(category)
        if by_category is not None:
            return Decision(allowed=by_category, reason=f"category:{category} {_said(by_category)}")
        if preferences.default_allowed is not None:
            allowed = preferences.default_allowed
            return Decision(allowed=allowed, reason=f"account default: {_said(allowed)}")
    word = "allowed" if SYSTEM_DEFAULT_ALLOWED else "not allowed"
    return Decision(allowed=SYSTEM_DEFAULT_ALLOWED, reason=f"system default: {word}")


def _said(allowed: bool) -> str:
    return "opted in" if allowed else "opted out"
