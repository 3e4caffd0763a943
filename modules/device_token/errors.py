"""What the device service refuses; none of these ever carries an address."""

from __future__ import annotations

from modules.application.errors import ConflictError, NotFoundError


class DeviceNotFoundError(NotFoundError):
    """No such device, or it is not (or no longer) a device of this account."""

    def __init__(self) -> None:
        super().__init__(code="device_not_found", field="device_id", reason="the account has no such device")


class DeviceNotQuarantinedError(ConflictError):
    """Only a quarantined device can be reinstated; an inactive one comes back when its app registers it."""

    def __init__(self) -> None:
        super().__init__(
            code="device_not_quarantined",
            field="device_id",
            reason="the device is inactive; it returns when its app registers it again",
        )


class TooManyDevicesError(ConflictError):
    """The account has as many active devices as it may; `limit` is that number. Nothing was written."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            code="too_many_devices",
            field="account_id",
            reason=f"an account has at most {limit} active devices (device.max_per_account)",
        )
        self.limit = limit
