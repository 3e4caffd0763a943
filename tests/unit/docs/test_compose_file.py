"""Holds docker-compose.yml to what is promised of it; whether it is valid, `docker compose config` says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VERSION = re.compile(r":\d+\.\d+(\.\d+)?(-[a-z]+)*$")


def _variables(section: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for value in section.values():
        found |= _variables(value) if isinstance(value, dict) else {value}
    return found


def test_everything_that_is_needed_is_there() -> None:
    assert SERVICES.keys() == {"mongodb", "temporal-database", "temporal", "temporal-ui", "worker"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned_and_each_service_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    assert VERSION.search(service["image"])
    assert service["healthcheck"]["test"]


def test_the_image_is_built_on_pinned_ones_and_installs_by_hash() -> None:
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases
    assert all(VERSION.search(base) for base in bases)
    assert "--require-hashes" in text


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_published_is_published_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_worker_is_given_settings_that_exist_and_its_credentials_as_a_file() -> None:
    mapping = yaml.safe_load((ROOT / "config" / "custom-environment-variables.yml").read_text())
    environment = SERVICES["worker"]["environment"]
    assert environment.keys() <= _variables(mapping) | {"APP_ENV"}
    secret = SERVICES["worker"]["secrets"][0]
    assert environment["FCM_CREDENTIALS_PATH"] == f"/run/secrets/{secret}"
    assert "file" in COMPOSE["secrets"][secret]


def test_the_container_runs_one_process_and_its_metrics_port_is_the_one_exposed() -> None:
    # Further processes would serve their metrics on the ports after METRICS_PORT.
    worker = SERVICES["worker"]
    assert worker["command"] == ["worker", "--processes", "1"]
    assert worker["expose"] == [worker["environment"]["METRICS_PORT"]]
    command = re.search(r"^CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert command
    assert json.loads(command[1]) == worker["command"]


def test_the_worker_may_finish_before_it_is_killed() -> None:
    defaults = yaml.safe_load((ROOT / "config" / "default.yml").read_text())
    grace_seconds = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace_seconds >= defaults["worker"]["graceful_shutdown_seconds"] + 10
