"""Has every module forget an account, in an order that lets nothing be sent to it meanwhile."""

from __future__ import annotations

from modules.account.account_service import AccountService
from modules.authentication.authentication_service import AuthenticationService
from modules.device_token.device_token_service import DeviceTokenService
from modules.erasure.types import ErasureReport
from modules.notification.notification_service import NotificationService
from modules.preference.preference_service import PreferenceService


class AccountEraser:
    """Lives on one event loop."""

    async def erase(self, account_id: str) -> ErasureReport:
        """See ErasureService.erase_account."""
        # Without devices nobody who claims a row from here on has anything to send.
        devices = await DeviceTokenService.erase_account_async(account_id=account_id)
        codes = await AuthenticationService.erase_account_async(account_id=account_id)
        rows = await NotificationService.erase_account_async(account_id=account_id)
        preferences = await PreferenceService.erase_account_async(account_id=account_id)
        accounts = await AccountService.erase_account_async(account_id=account_id)
        return ErasureReport(
            account_id=account_id,
            erased={
                "devices": devices,
                "push_notifications": rows.erased,
                "one_time_passwords": codes,
                "preferences": preferences,
                "accounts": accounts,
            },
            withdrawn=rows.withdrawn,
            interrupted=rows.interrupted,
        )
