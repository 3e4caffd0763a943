"""Which providers there are, and what every one of them has to be."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from modules.application.errors import ConfigurationError
from modules.config.config_service import ConfigService
from modules.notification.errors import ProviderConfigurationError
from modules.notification.internals.channel_registry import CHANNELS, Provider, create_channel
from modules.notification.internals.channels.port import PushChannel
from modules.notification.internals.fcm_service import FCMService

ENVIRONMENT = {"FCM_CREDENTIALS_PATH": "/nowhere/service-account.json"}
SETTINGS = ConfigService.load(ENVIRONMENT)


def test_the_name_of_a_provider_makes_its_channel() -> None:
    assert isinstance(create_channel("fcm", SETTINGS), FCMService)
    assert isinstance(create_channel(Provider.FCM, SETTINGS, max_concurrent_requests=5), FCMService)


def test_each_call_makes_a_channel_of_its_own() -> None:
    assert create_channel("fcm", SETTINGS) is not create_channel("fcm", SETTINGS)


@pytest.mark.parametrize("provider", ["", "FCM", "apns", "expo"])
def test_an_unknown_provider_is_a_configuration_error(provider: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        create_channel(provider, SETTINGS)
    assert (refused.value.code, refused.value.field) == ("unknown_provider", "provider")
    assert "fcm" in refused.value.reason


@pytest.mark.parametrize("provider", CHANNELS)
def test_every_channel_has_the_shape_of_the_port(provider: Provider) -> None:
    channel = create_channel(provider, SETTINGS)
    for name, method in inspect.getmembers(PushChannel, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.iscoroutinefunction(getattr(channel, name))
            assert list(inspect.signature(method).parameters)[1:] == list(
                inspect.signature(getattr(channel, name)).parameters
            )


@pytest.mark.parametrize("provider", CHANNELS)
def test_every_channel_names_the_apps_it_has_credentials_of(provider: Provider) -> None:
    apps = {**ENVIRONMENT, "FCM_APPS": '{"shop": {"credentials_path": "/nowhere/shop.json"}}'}
    assert set(create_channel(provider, SETTINGS).app_ids) == {"default"}
    assert set(create_channel(provider, ConfigService.load(apps)).app_ids) == {"default", "shop"}


def test_every_provider_is_registered() -> None:
    assert set(CHANNELS) == set(Provider)


async def test_making_a_channel_reads_nothing() -> None:
    service = FCMService(settings=SETTINGS.fcm.model_copy(update={"ca_file": Path("/nowhere")}))
    with pytest.raises(ProviderConfigurationError, match="fcm_ca_file_invalid"):
        await service.check_credentials()


async def test_without_credentials_there_is_no_app() -> None:
    service = FCMService(settings=SETTINGS.fcm.model_copy(update={"credentials_path": None}))
    with pytest.raises(ProviderConfigurationError, match="fcm_app_unknown"):
        await service.check_credentials()
