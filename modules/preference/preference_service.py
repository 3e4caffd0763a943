"""May we: whether an account wants push notifications, by category and by default."""

from __future__ import annotations

from collections.abc import Collection

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking
from modules.preference.internals.preference_book import PreferenceBook
from modules.preference.internals.store.preference_repository import PreferenceRepository
from modules.preference.types import Decision, Preferences


class PreferenceService(ServiceFacade[PreferenceBook]):
    """Records what accounts want and decides: the category's word, else the account's default, else allowed.

    All methods raise InvalidInputError with every failure at once.
    """

    @classmethod
    async def start(cls, *, database: MongoDatabase, loop_thread: EventLoopThread) -> None:
        """Create the collection and bind the service to the loop; called by bootstrap, safe to repeat."""
        repository = PreferenceRepository(database.database)
        await loop_thread.call(repository.ensure)
        cls.bind(PreferenceBook(repository), loop_thread)

    @classmethod
    async def set_preference_async(
        cls, *, account_id: str, category: str | None, allowed: bool
    ) -> Preferences:
        """Opt in or out of one category, or (category None) of all without a word of their own.

        Returns all the account has said. Raises TooManyCategoriesError past 200 categories an account.
        """
        return await cls._on_core(
            lambda core: core.set(account_id=account_id, category=category, allowed=allowed)
        )

    @classmethod
    async def get_preferences_async(cls, *, account_id: str) -> Preferences:
        """What the account has said; empty when it never said anything."""
        return await cls._on_core(lambda core: core.get(account_id))

    @classmethod
    async def is_push_allowed_async(cls, *, account_id: str, category: str) -> Decision:
        """May a push of this category go to the account, and why."""
        return await cls._on_core(lambda core: core.decision(account_id=account_id, category=category))

    @classmethod
    async def decisions_for_async(
        cls, *, questions: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Decision]:
        """`is_push_allowed` for many (account id, category) in one query; every question is a key."""
        return await cls._on_core(lambda core: core.decisions(questions))

    @classmethod
    async def erase_account_async(cls, *, account_id: str) -> int:
        """Remove what the account has said; returns how many records there were, 0 or 1. Safe to repeat."""
        return await cls._on_core(lambda core: core.erase(account_id))

    set_preference = blocking(set_preference_async)
    get_preferences = blocking(get_preferences_async)
    is_push_allowed = blocking(is_push_allowed_async)
    decisions_for = blocking(decisions_for_async)
    erase_account = blocking(erase_account_async)
