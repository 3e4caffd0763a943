"""The app id that devices and credentials have where none is named; imports nothing, all import it."""

from __future__ import annotations

DEFAULT_APP_ID = "default"
