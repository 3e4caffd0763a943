"""Where: the devices an account can be reached at, registered by apps, retired by providers' answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from modules.application.app_ids import DEFAULT_APP_ID
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking
from modules.device_token.internals.device_params import DeviceRegistration
from modules.device_token.internals.device_registry import DeviceRegistry
from modules.device_token.internals.store.device_locks import DeviceLocks
from modules.device_token.internals.store.device_repository import DeviceRepository
from modules.device_token.types import (
    DEFAULT_INACTIVE_DAYS,
    MAX_ACCOUNTS,
    MAX_DEVICES,
    MAX_LISTED_DEVICES,
    Device,
    DeviceCriteria,
    DeviceRetirement,
    Platform,
    TargetKind,
)


class DeviceTokenService(ServiceFacade[DeviceRegistry]):
    """Registers devices and says which of them are active.

    An address exists once per app, and an installation of the app has one device in use: registered under
    another account, or at another address, it leaves the first. The account itself need not be recorded,
    accounts live elsewhere. All methods raise InvalidInputError with every failure at once, and no error
    carries an address.
    """

    @classmethod
    async def start(
        cls,
        *,
        database: MongoDatabase,
        loop_thread: EventLoopThread,
        max_per_account: int = MAX_DEVICES,
        inactive_days: float = DEFAULT_INACTIVE_DAYS,
    ) -> None:
        """Create the collections and bind the service to the loop; called by bootstrap, safe to repeat.

        An account has at most `max_per_account` (1 to 1,000) active devices; those that were inactive for
        `inactive_days` are removed.
        """
        locks = DeviceLocks(database.database)
        repository = DeviceRepository(database.database, locks, inactive_days=inactive_days)
        await loop_thread.call(locks.ensure)
        await loop_thread.call(repository.ensure)
        cls.bind(DeviceRegistry(repository, max_per_account=max_per_account), loop_thread)

    @classmethod
    async def register_device_async(
        cls,
        *,
        account_id: str,
        platform: Platform,
        kind: TargetKind,
        address: str,
        app_id: str = DEFAULT_APP_ID,
    ) -> Device:
        """Register the device or note that it was seen again; it is active afterwards.

        `address` is the FCM registration token or installation id: 1 to 4,096 printable ASCII characters.
        An inactive or quarantined device becomes active; one of another account leaves that account. Where
        the address says to which installation it belongs (an id does, and a token that begins with it), other
        addresses of that installation are out of use afterwards, whosever they were.

        Raises TooManyDevicesError, with nothing written, when the account has as many other active devices
        as it may. Of registrations in parallel no more than that number succeed.
        """
        registration = DeviceRegistration(
            account_id=account_id, app_id=app_id, platform=platform, kind=kind, address=address
        )
        return await cls._on_core(lambda core: core.register(registration))

    @classmethod
    async def deactivate_device_async(cls, *, account_id: str, device_id: str) -> Device:
        """Stop sending to the device until its app registers it again, as when a person logs out.

        Repeating it changes nothing. Raises DeviceNotFoundError when it is not a device of this account.
        """
        return await cls._on_core(lambda core: core.deactivate(account_id=account_id, device_id=device_id))

    @classmethod
    async def retire_devices_async(cls, *, retirements: Sequence[DeviceRetirement]) -> set[str]:
        """Take devices out of use whose addresses the provider called dead, or refused to us.

        A thousand a transaction. One that was registered again since its `version` stays active. A quarantine
        is ended by `reinstate_device`, or by the app registering the device again. Returns the ids of those
        that this call took out of use, so of several reports of one death exactly one has it; none may, where
        MongoDB's answer was lost. Raises InvalidInputError.
        """
        return await cls._on_core(lambda core: core.retire_all(retirements))

    @classmethod
    async def reinstate_device_async(cls, *, device_id: str) -> Device:
        """End a quarantine; an active device is returned as it is.

        Raises DeviceNotFoundError, DeviceNotQuarantinedError for an inactive one, or TooManyDevicesError.
        """
        return await cls._on_core(lambda core: core.reinstate(device_id))

    @classmethod
    async def list_devices_async(
        cls,
        *,
        account_id: str,
        include_inactive: bool = False,
        after_device_id: str | None = None,
        limit: int = MAX_LISTED_DEVICES,
    ) -> list[Device]:
        """At most `limit` (1 to 500) devices of the account, last seen first.

        `after_device_id` is the last one of the page before. With `include_inactive` also the inactive and
        the quarantined ones. Raises DeviceNotFoundError when `after_device_id` is not the account's.
        """
        return await cls._on_core(
            lambda core: core.devices_of(
                account_id=account_id,
                include_inactive=include_inactive,
                after_device_id=after_device_id,
                limit=limit,
            )
        )

    @classmethod
    async def active_devices_async(
        cls, *, account_id: str, app_id: str | None = None, limit: int = MAX_DEVICES
    ) -> list[Device]:
        """The active devices, last seen first, of each installation one; `app_id` None means every app.

        All of them, since an account has no more than the default `limit` (1 to 1,000).
        """
        return await cls._on_core(lambda core: core.active(account_id=account_id, app_id=app_id, limit=limit))

    @classmethod
    async def active_devices_for_async(
        cls, *, account_ids: Collection[str], app_id: str | None = None, limit: int = MAX_DEVICES
    ) -> dict[str, list[Device]]:
        """`active_devices` of many accounts in one query; every account is a key, `limit` holds for each."""
        return await cls._on_core(
            lambda core: core.active_for(account_ids=account_ids, app_id=app_id, limit=limit)
        )

    @classmethod
    async def erase_account_async(cls, *, account_id: str) -> int:
        """Remove every device of the account with its address; returns how many. Safe to repeat."""
        return await cls._on_core(lambda core: core.erase(account_id))

    @classmethod
    async def accounts_with_devices_async(
        cls,
        *,
        platforms: tuple[Platform, ...] = (),
        app_id: str | None = None,
        last_seen_after: datetime | None = None,
        last_seen_before: datetime | None = None,
        after_account_id: str | None = None,
        limit: int = MAX_ACCOUNTS,
    ) -> list[str]:
        """Account ids that have an active device for which everything given holds, ascending, each once.

        At most `limit` (1 to 1,000), and fewer only when nobody is left; `after_account_id` is the last one
        of the page before. An empty `platforms` means all of them; times are aware, both bounds excluded.
        """
        criteria = DeviceCriteria(
            platforms=platforms,
            app_id=app_id,
            last_seen_after=last_seen_after,
            last_seen_before=last_seen_before,
        )
        return await cls._on_core(
            lambda core: core.accounts_with_devices(
                criteria=criteria, after_account_id=after_account_id, limit=limit
            )
        )

    register_device = blocking(register_device_async)
    deactivate_device = blocking(deactivate_device_async)
    retire_devices = blocking(retire_devices_async)
    reinstate_device = blocking(reinstate_device_async)
    list_devices = blocking(list_devices_async)
    active_devices = blocking(active_devices_async)
    active_devices_for = blocking(active_devices_for_async)
    erase_account = blocking(erase_account_async)
