"""Names every push provider and how its channel is made; a new one is a member, a factory and an entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from modules.application.errors import ConfigurationError
from modules.config.types import Settings
from modules.notification.internals.channels.port import PushChannel
from modules.notification.internals.fcm_service import FCMService


class Provider(StrEnum):
    FCM = "fcm"


# Makes a channel from the settings and a bound on its concurrent requests (None: the setting's).
ChannelFactory = Callable[[Settings, int | None], PushChannel]


def _create_fcm(settings: Settings, max_concurrent_requests: int | None) -> PushChannel:
    return FCMService(settings=settings.fcm, max_concurrent_requests=max_concurrent_requests)


CHANNELS: Mapping[Provider, ChannelFactory] = MappingProxyType({Provider.FCM: _create_fcm})


def create_channel(
    provider: str, settings: Settings, *, max_concurrent_requests: int | None = None
) -> PushChannel:
    """A channel of its own for a provider's name; raises ConfigurationError for a name nobody registered."""
    if provider not in CHANNELS:
        known = ", ".join(CHANNELS)
        raise ConfigurationError(
            code="unknown_provider", field="provider", reason=f"no such provider; known are: {known}"
        )
    return CHANNELS[Provider(provider)](settings, max_concurrent_requests)
