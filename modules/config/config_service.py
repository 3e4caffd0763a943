"""Reads the layered configuration: default.yml, then APP_ENV's file, then environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, YamlConfigSettingsSource

from modules.application.errors import ConfigurationError, Problem
from modules.config.types import Settings

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "config"
ENVIRONMENTS = ("development", "test", "production")
DEFAULT_ENVIRONMENT = "development"


class _LayeredSettings(Settings, BaseSettings):  # type: ignore[misc]
    """Settings whose later sources win: the YAML files in order, then the mapped variables."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = settings_cls.model_config.get("yaml_file")
        return (init_settings, YamlConfigSettingsSource(settings_cls, yaml_file=files, deep_merge=True))


class ConfigService:
    """Loads and validates the settings once; services are handed what they need of them."""

    @staticmethod
    def load(environment: Mapping[str, str] | None = None, *, folder: Path = CONFIG_FOLDER) -> Settings:
        """Read the settings for APP_ENV (default "development").

        Raises ConfigurationError naming every wrong key and the variable or file to mend; values are not
        repeated, they can be secrets.
        """
        variables = os.environ if environment is None else environment
        app_env = variables.get("APP_ENV", DEFAULT_ENVIRONMENT)
        if app_env not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            raise ConfigurationError(
                code="unknown_environment", field="APP_ENV", reason=f"must be one of {known}"
            )
        files = [folder / "default.yml", folder / f"{app_env}.yml"]
        mapping = yaml.safe_load((folder / "custom-environment-variables.yml").read_text()) or {}

        class _Bound(_LayeredSettings):
            model_config = {"yaml_file": files, "extra": "forbid", "frozen": True}

        try:
            bound = _Bound(**_mapped_values(mapping, variables))
        except ValidationError as error:
            problems = [
                Problem("invalid_setting", ".".join(str(part) for part in item["loc"]), item["msg"])
                for item in error.errors(include_input=False, include_url=False)
            ]
            reason = "; ".join(f"{problem.field}: {problem.reason}" for problem in problems)
            raise ConfigurationError(
                code="invalid_setting", field=problems[0].field, reason=reason, problems=problems
            ) from None
        return Settings.model_validate(bound.model_dump())


def _mapped_values(mapping: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, target in mapping.items():
        if isinstance(target, Mapping):
            nested = _mapped_values(target, variables)
            if nested:
                values[key] = nested
        elif variables.get(target):
            values[key] = _decoded(target, variables[target])
    return values


def _decoded(name: str, text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise ConfigurationError(
            code="invalid_setting", field=name, reason="starts like JSON but is not JSON"
        ) from None
