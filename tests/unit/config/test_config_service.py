"""Settings: three layers, every mistake named, no value repeated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from modules.application.errors import ConfigurationError
from modules.application.setting_names import CONFIG_FOLDER
from modules.config.config_service import ENVIRONMENTS, ConfigService
from modules.config.types import Settings
from modules.device_token.types import MAX_DEVICES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the real configuration, to be changed by the test."""
    return Path(shutil.copytree(CONFIG_FOLDER, tmp_path / "config"))


def load(folder: Path = CONFIG_FOLDER, app_env: str = "test", **variables: str) -> Settings:
    return ConfigService.load({"APP_ENV": app_env, **variables}, folder=folder)


@pytest.mark.parametrize("app_env", ENVIRONMENTS)
def test_every_environment_loads(app_env: str) -> None:
    expected = "0 0 1 1 *" if app_env == "test" else "*/5 * * * *"
    assert load(app_env=app_env).scan.cron == expected


def test_an_environments_file_wins_over_the_default_and_a_variable_over_both(folder: Path) -> None:
    (folder / "test.yml").write_text("delivery:\n  lease_seconds: 11\n")
    settings = load(folder)
    assert settings.delivery.lease_seconds == 11
    assert settings.delivery.max_backoff_seconds == 600, "the default stays for what the file leaves out"
    assert load(folder, DELIVERY_LEASE_SECONDS="12").delivery.lease_seconds == 12


def test_only_the_named_environment_is_read(folder: Path) -> None:
    (folder / "production.yml").write_text("delivery:\n  lease_seconds: 11\n")
    assert load(folder).delivery.lease_seconds == 30


def test_an_empty_variable_counts_as_absent() -> None:
    assert load(MONGODB_DATABASE="").mongodb.database == "notifications"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "test")
    monkeypatch.setenv("MONGODB_DATABASE", "from-the-process")
    assert ConfigService.load().mongodb.database == "from-the-process"


def test_further_apps_are_json() -> None:
    settings = load(
        FCM_CREDENTIALS_PATH="/run/a.json", FCM_APPS='{"second": {"credentials_path": "/run/b.json"}}'
    )
    assert {name: str(app.credentials_path) for name, app in settings.fcm.all_apps().items()} == {
        "default": "/run/a.json",
        "second": "/run/b.json",
    }


def test_without_credentials_there_is_no_default_app() -> None:
    assert load().fcm.all_apps() == {}


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"APP_ENV": "staging"}, "APP_ENV"),
        ({"TEMPORAL_ADDRESS": "no-port"}, "temporal.address"),
        ({"FCM_ENDPOINT": "http://insecure"}, "fcm.endpoint"),
        ({"DELIVERY_LEASE_SECONDS": "-1"}, "delivery.lease_seconds"),
        ({"DELIVERY_LEASE_SECONDS": "soon"}, "delivery.lease_seconds"),
        ({"LOG_LEVEL": "LOUD"}, "logging.level"),
        ({"FCM_APPS": '{"broken'}, "FCM_APPS"),
        ({"FCM_APPS": '{"second": {}}'}, "fcm.apps.second.credentials_path"),
        ({"METRICS_PORT": "70000"}, "metrics.port"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        ConfigService.load({"APP_ENV": "test", **variables})
    assert error.value.field == field
    assert error.value.reason


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        load(TEMPORAL_ADDRESS="x", LOG_LEVEL="y", METRICS_PORT="z")
    assert {problem.field for problem in error.value.problems} == {
        "temporal.address",
        "logging.level",
        "metrics.port",
    }


@pytest.mark.parametrize(
    ("variable", "secret"),
    [("MONGODB_URI", "mongodb://user:xyzzy@host"), ("TEMPORAL_API_KEY", "xyzzy"), ("FCM_APPS", '{"xyzzy')],
)
def test_no_secret_is_repeated(variable: str, secret: str) -> None:
    try:
        shown = repr(ConfigService.load({"APP_ENV": "test", variable: secret}))
    except ConfigurationError as error:
        shown = f"{error} {error.__cause__} {error.problems}"
    assert "xyzzy" not in shown


def test_a_wrong_value_beside_a_secret_does_not_repeat_it() -> None:
    with pytest.raises(ConfigurationError) as error:
        load(MONGODB_URI="mongodb://user:xyzzy@host", LOG_LEVEL="xyzzy")
    assert "xyzzy" not in str(error.value)


@pytest.mark.parametrize("file", ["default.yml", "test.yml"])
def test_an_unknown_key_in_a_file_is_refused(folder: Path, file: str) -> None:
    content = yaml.safe_load((folder / file).read_text()) or {}
    content.setdefault("logging", {})["levle"] = "INFO"
    (folder / file).write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as error:
        load(folder)
    assert error.value.field == "logging.levle"


def test_a_missing_setting_is_named(folder: Path) -> None:
    content = yaml.safe_load((folder / "default.yml").read_text())
    del content["scan"]["page_size"]
    (folder / "default.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as error:
        load(folder)
    assert error.value.field == "scan.page_size"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load().scan.cron = "* * * * *"  # type: ignore[misc]


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def test_every_mapped_variable_is_a_setting_and_named_once() -> None:
    mapped = dict(leaves(yaml.safe_load((CONFIG_FOLDER / "custom-environment-variables.yml").read_text())))
    assert len(set(mapped.values())) == len(mapped)
    for path in mapped:
        model: Any = Settings
        for part in path.split("."):
            assert part in model.model_fields, path
            annotation = model.model_fields[part].annotation
            is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
            model = annotation if is_section else None


def test_the_limit_on_devices_is_the_one_that_a_row_can_hold() -> None:
    assert load(DEVICE_MAX_PER_ACCOUNT=str(MAX_DEVICES)).device.max_per_account == MAX_DEVICES
    for beyond in (0, MAX_DEVICES + 1):
        with pytest.raises(ConfigurationError) as error:
            load(DEVICE_MAX_PER_ACCOUNT=str(beyond))
        assert error.value.field == "device.max_per_account"
