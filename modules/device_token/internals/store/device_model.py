"""The stored shape of a device."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from bson import ObjectId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from modules.device_token.types import Device, DeviceState, Platform, TargetKind


def _object_id_text(value: object) -> object:
    return str(value) if isinstance(value, ObjectId) else value


class DeviceModel(BaseModel):
    """A document of `devices`. Neither its `repr` nor its validation errors show the address."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: Annotated[str, BeforeValidator(_object_id_text)] = Field(alias="_id")
    account_id: str
    app_id: str
    platform: Platform
    kind: TargetKind
    address: str = Field(repr=False)
    state: DeviceState
    state_reason: str | None
    state_changed_at: datetime
    registered_at: datetime
    last_seen_at: datetime
    version: int

    def to_device(self) -> Device:
        return Device(
            id=self.id,
            account_id=self.account_id,
            app_id=self.app_id,
            platform=self.platform,
            kind=self.kind,
            address=self.address,
            state=self.state,
            state_reason=self.state_reason,
            state_changed_at=self.state_changed_at,
            registered_at=self.registered_at,
            last_seen_at=self.last_seen_at,
            version=self.version,
        )
