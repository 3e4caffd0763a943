"""Reads the layered configuration: default.yml, then APP_ENV's file, then environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, YamlConfigSettingsSource

from modules.application.errors import ConfigurationError, Problem
from modules.application.setting_names import CONFIG_FOLDER, VARIABLES_FILE, named_setting
from modules.config.internals.setting_kinds import SettingProblemError
from modules.config.types import Settings

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

        Spaces and line ends around a variable's value are left out: files that hold secrets end in one, and
        none is ever meant. Raises ConfigurationError naming every wrong key and the variable or file to mend;
        values are not repeated, they can be secrets.
        """
        variables = os.environ if environment is None else environment
        app_env = variables.get("APP_ENV", "").strip() or DEFAULT_ENVIRONMENT
        if app_env not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            raise ConfigurationError(
                code="unknown_environment", field="APP_ENV", reason=f"must be one of {known}"
            )
        files = [folder / "default.yml", folder / f"{app_env}.yml"]
        mapping = yaml.safe_load((folder / VARIABLES_FILE).read_text()) or {}

        class _Bound(_LayeredSettings):
            model_config = {"yaml_file": files, "extra": "forbid", "frozen": True}

        try:
            bound = _Bound(**_mapped_values(mapping, variables))
        except ValidationError as error:
            problems = [_problem(item) for item in error.errors(include_input=False, include_url=False)]
            raise ConfigurationError(
                code="invalid_setting",
                field=problems[0].field,
                reason=_in_one_line(problems),
                problems=problems,
            ) from None
        return Settings.model_validate(bound.model_dump())


def _problem(item: ErrorDetails) -> Problem:
    field, reason = ".".join(str(part) for part in item["loc"]), item["msg"]
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, SettingProblemError):
        field = f"{field}.{cause.setting}"
    return Problem("invalid_setting", field, str(cause) if isinstance(cause, ValueError) else reason)


def _in_one_line(problems: Sequence[Problem]) -> str:
    if len(problems) == 1:
        return problems[0].reason
    return "; ".join(f"{named_setting(problem.field or '')}: {problem.reason}" for problem in problems)


def _mapped_values(mapping: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, target in mapping.items():
        if isinstance(target, Mapping):
            nested = _mapped_values(target, variables)
            if nested:
                values[key] = nested
        elif text := variables.get(target, "").strip():
            values[key] = _decoded(target, text)
    return values


def _decoded(name: str, text: str) -> Any:
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (json.JSONDecodeError, RecursionError):
        reason = "starts like JSON but is not JSON"
    except _RepeatedNameError:
        reason = "names the same thing twice"
    raise ConfigurationError(code="invalid_setting", field=name, reason=reason)


class _RepeatedNameError(ValueError):
    pass


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedNameError
    return found
