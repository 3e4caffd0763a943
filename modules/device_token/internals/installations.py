"""Knows which addresses are one installation of an app: a phone that has two of them is told once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modules.device_token.types import Device, TargetKind

# FCM builds a registration token from the installation id, a colon and a part that begins so.
MARK_OF_TOKENS = ":APA91"
# The alphabet of installation ids (Firebase, "Manage Firebase installations": base64url).
_INSTALLATION = re.compile(r"[A-Za-z0-9_-]+")


def installation_id(kind: TargetKind, address: str) -> str | None:
    """The Firebase installation that an address belongs to; None for one that does not say."""
    if kind is TargetKind.FID:
        name = address
    else:
        name, mark, _ = address.partition(MARK_OF_TOKENS)
        if not mark:
            return None
    return name if _INSTALLATION.fullmatch(name) else None


def one_an_installation(devices: Sequence[Device]) -> list[Device]:
    """The devices in their order, of each app's installation the first only."""
    if len(devices) < 2:
        return list(devices)
    kept: dict[tuple[str, str], Device] = {}
    for device in devices:
        installation = installation_id(device.kind, device.address)
        # An id has no space, so it is never taken for an installation.
        kept.setdefault((device.app_id, installation or f"id {device.id}"), device)
    return list(kept.values())
