"""Taking one device out of use, as delivery does with many."""

from __future__ import annotations

from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import DeviceRetirement, DeviceState


def deactivate_dead(devices: type[DeviceTokenService], *, device_id: str, version: int, code: str) -> bool:
    """Whether this call did it."""
    dead = DeviceRetirement(device_id=device_id, version=version, state=DeviceState.INACTIVE, code=code)
    return devices.retire_devices(retirements=[dead]) == {device_id}


def quarantine(devices: type[DeviceTokenService], *, device_id: str, version: int, code: str) -> bool:
    """Whether this call did it."""
    refused = DeviceRetirement(device_id=device_id, version=version, state=DeviceState.QUARANTINED, code=code)
    return devices.retire_devices(retirements=[refused]) == {device_id}
