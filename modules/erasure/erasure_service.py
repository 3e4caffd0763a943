"""Forgets a person: the one call that erases an account everywhere, and says what it erased."""

from __future__ import annotations

from modules.application.event_loop_thread import EventLoopThread
from modules.application.service_facade import ServiceFacade, blocking
from modules.erasure.internals.account_eraser import AccountEraser
from modules.erasure.types import ErasureReport


class ErasureService(ServiceFacade[AccountEraser]):
    """Asks each module to forget an account; none of them is reached into."""

    @classmethod
    def start(cls, *, loop_thread: EventLoopThread) -> None:
        """Bind the service to the loop; called by bootstrap once the other services are, safe to repeat."""
        cls.bind(AccountEraser(), loop_thread)

    @classmethod
    async def erase_account_async(cls, *, account_id: str) -> ErasureReport:
        """Erase the account's devices, codes, preferences, record, and the content of its notifications.

        Its notifications stay as ids, statuses, codes, times and counts, under the account's id: so campaigns
        under way do not begin with it again. Nothing is sent to the account after this has returned, unless a
        device is registered for it anew. Waits for what is being sent, at most `delivery.lease_seconds` and a
        moment.

        Raises InvalidInputError, or UnavailableError when MongoDB does not answer: what was not erased yet
        is, when it is called again. Safe to repeat, beside deliveries and campaigns too; what is requested
        for the account while this runs may be left.
        """
        return await cls._on_core(lambda core: core.erase(account_id))

    erase_account = blocking(erase_account_async)
