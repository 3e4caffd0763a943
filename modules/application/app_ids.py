"""The app id that devices and credentials have where none is named; imported by all, so it imports nothing."""

from __future__ import annotations

DEFAULT_APP_ID = "default"
