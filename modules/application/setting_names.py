"""Says a setting as an operator knows it: its name in the files, and the variable that overrides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "config"
VARIABLES_FILE = "custom-environment-variables.yml"


def named_setting(field: str) -> str:
    """`scan.cron` as `scan.cron (SCAN_CRON)`; anything that no variable overrides stays as it is."""
    variables, known = _variables(), field
    while known:
        if known in variables:
            return f"{field} ({variables[known]})"
        known = known.rpartition(".")[0]
    return field


@cache
def _variables() -> Mapping[str, str]:
    tree = yaml.safe_load((CONFIG_FOLDER / VARIABLES_FILE).read_text()) or {}
    return dict(_leaves(tree, ""))


def _leaves(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
