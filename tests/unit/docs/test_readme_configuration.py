"""Holds the README's table of settings to the files that settings are read from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(
    r"\| `(?P<setting>[a-z_.]+)` \| `(?P<default>[^|]*)` \| (?P<variable>`[A-Z_]+`|none) \| [^|]+ \|"
)


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        # An empty mapping is a value: the setting that takes further apps.
        if isinstance(value, Mapping) and value:
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _file(name: str) -> dict[str, Any]:
    return _flat(yaml.safe_load((ROOT / "config" / name).read_text()))


def _table() -> list[re.Match[str]]:
    text = (ROOT / "README.md").read_text()
    block = text.partition("<!-- settings:")[2].partition("<!-- /settings -->")[0]
    lines = [line for line in block.splitlines() if line.startswith("| `")]
    rows = [ROW.fullmatch(line) for line in lines]
    unreadable = [line for line, row in zip(lines, rows, strict=True) if row is None]
    assert not unreadable
    return [row for row in rows if row is not None]


def test_every_setting_stands_in_the_readme_with_its_default_in_the_order_of_the_file() -> None:
    documented = [(row["setting"], row["default"]) for row in _table()]
    assert documented == [(name, json.dumps(value)) for name, value in _file("default.yml").items()]


def test_every_setting_names_the_variable_that_overrides_it() -> None:
    documented = {row["setting"]: row["variable"].strip("`") for row in _table() if row["variable"] != "none"}
    assert documented == _file("custom-environment-variables.yml")
