"""The ids of apps that devices and credentials have; imports nothing of ours, all import it."""

from __future__ import annotations

import re

DEFAULT_APP_ID = "default"
MAX_APP_ID_LENGTH = 64
APP_ID_RULE = f"1 to {MAX_APP_ID_LENGTH} printable ASCII characters, no spaces"
_APP_ID = re.compile(rf"[!-~]{{1,{MAX_APP_ID_LENGTH}}}")


def is_app_id(value: object) -> bool:
    return isinstance(value, str) and _APP_ID.fullmatch(value) is not None
