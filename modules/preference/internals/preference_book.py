"""Records what accounts want and answers whether they may be told; the logic behind PreferenceService."""

from __future__ import annotations

from collections.abc import Collection

from modules.preference.internals.preference_params import (
    check_account_id,
    check_preference,
    check_question,
    check_questions,
)
from modules.preference.internals.preference_rules import decide
from modules.preference.internals.store.preference_repository import PreferenceRepository
from modules.preference.types import Decision, Preferences


class PreferenceBook:
    """The preferences of all accounts."""

    def __init__(self, repository: PreferenceRepository) -> None:
        self._repository = repository

    async def set(self, *, account_id: str, category: str | None, allowed: bool) -> Preferences:
        check_preference(account_id=account_id, category=category, allowed=allowed)
        return await self._repository.set(account_id=account_id, category=category, allowed=allowed)

    async def get(self, account_id: str) -> Preferences:
        check_account_id(account_id)
        found = await self._repository.find([account_id])
        nothing_said = Preferences(
            account_id=account_id, default_allowed=None, categories={}, updated_at=None
        )
        return found.get(account_id, nothing_said)

    async def erase(self, account_id: str) -> int:
        check_account_id(account_id)
        return await self._repository.erase(account_id)

    async def decision(self, *, account_id: str, category: str) -> Decision:
        check_question(account_id=account_id, category=category)
        found = await self._repository.find([account_id])
        return decide(found.get(account_id), category)

    async def decisions(self, questions: Collection[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        check_questions(questions)
        found = await self._repository.find({account_id for account_id, _ in questions})
        return {
            (account_id, category): decide(found.get(account_id), category)
            for account_id, category in questions
        }
