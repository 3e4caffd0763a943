"""Knows which devices an account can be reached at; the logic behind DeviceTokenService."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from modules.device_token.errors import DeviceNotFoundError, DeviceNotQuarantinedError
from modules.device_token.internals.device_params import (
    DeviceRegistration,
    check_account,
    check_audience,
    check_bulk_lookup,
    check_device,
    check_device_id,
    check_listing,
    check_lookup,
    check_retirements,
)
from modules.device_token.internals.installations import one_an_installation
from modules.device_token.internals.store.device_repository import DeviceRepository
from modules.device_token.types import Device, DeviceCriteria, DeviceRetirement, DeviceState

DEACTIVATED_BY_ACCOUNT = "deactivated_by_account"


class DeviceRegistry:
    """Registers devices, takes them out of use, and says which are active."""

    def __init__(self, repository: DeviceRepository, *, max_per_account: int) -> None:
        self._repository = repository
        self._max_per_account = max_per_account

    async def register(self, registration: DeviceRegistration) -> Device:
        return await self._repository.register(registration.checked(), most=self._max_per_account)

    async def deactivate(self, *, account_id: str, device_id: str) -> Device:
        check_device(account_id=account_id, device_id=device_id)
        changed = await self._repository.deactivate(
            account_id=account_id, device_id=device_id, reason=DEACTIVATED_BY_ACCOUNT
        )
        device = changed or await self._repository.find(device_id)
        if device is None or device.account_id != account_id:
            raise DeviceNotFoundError
        return device

    async def retire_all(self, retirements: Sequence[DeviceRetirement]) -> set[str]:
        check_retirements(retirements)
        return await self._repository.retire_all(retirements)

    async def reinstate(self, device_id: str) -> Device:
        check_device_id(device_id)
        device = await self._repository.reinstate(device_id, most=self._max_per_account)
        device = device or await self._repository.find(device_id)
        if device is None:
            raise DeviceNotFoundError
        if device.state is not DeviceState.ACTIVE:
            raise DeviceNotQuarantinedError
        return device

    async def devices_of(
        self, *, account_id: str, include_inactive: bool, after_device_id: str | None, limit: int
    ) -> list[Device]:
        check_listing(
            account_id=account_id,
            include_inactive=include_inactive,
            after_device_id=after_device_id,
            limit=limit,
        )
        after = None if after_device_id is None else await self._repository.find(after_device_id)
        if after_device_id is not None and (after is None or after.account_id != account_id):
            raise DeviceNotFoundError
        states = tuple(DeviceState) if include_inactive else (DeviceState.ACTIVE,)
        return await self._repository.devices_of(
            account_id=account_id, states=states, after=after, limit=limit
        )

    async def active(self, *, account_id: str, app_id: str | None, limit: int) -> list[Device]:
        check_lookup(account_id=account_id, app_id=app_id, limit=limit)
        found = await self._repository.active(account_id=account_id, app_id=app_id, limit=limit)
        return one_an_installation(found)

    async def active_for(
        self, *, account_ids: Collection[str], app_id: str | None, limit: int
    ) -> dict[str, list[Device]]:
        check_bulk_lookup(account_ids=account_ids, app_id=app_id, limit=limit)
        wanted = list(dict.fromkeys(account_ids))
        found = await self._repository.active_for(account_ids=wanted, app_id=app_id, limit=limit)
        return {account_id: one_an_installation(found.get(account_id, [])) for account_id in wanted}

    async def erase(self, account_id: str) -> int:
        check_account(account_id)
        return await self._repository.erase(account_id)

    async def accounts_with_devices(
        self, *, criteria: DeviceCriteria, after_account_id: str | None, limit: int
    ) -> list[str]:
        check_audience(criteria=criteria, after_account_id=after_account_id, limit=limit)
        return await self._repository.accounts_with_devices(
            criteria, after_account_id=after_account_id, limit=limit
        )
