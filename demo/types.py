"""What the demo is asked for and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modules.application.errors import ConfigurationError

DEFAULT_FOLDER = Path(".local/demo")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoParams:
    """`device_token` None means the simulator, else pushes are real. `keep`: stay up afterwards."""

    folder: Path
    keep: bool
    device_token: str | None = field(repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> DemoParams:
        """Read KEEP, DEMO_FOLDER, FCM_CREDENTIALS_PATH and DEMO_DEVICE_TOKEN.

        Raises ConfigurationError when real credentials are given and no device to push to.
        """
        device_token = None
        if environment.get("FCM_CREDENTIALS_PATH"):
            device_token = environment.get("DEMO_DEVICE_TOKEN")
            if not device_token:
                raise ConfigurationError(
                    code="demo_device_missing",
                    field="DEMO_DEVICE_TOKEN",
                    reason="FCM_CREDENTIALS_PATH is set, so pushes are real: set DEMO_DEVICE_TOKEN to the FCM"
                    " token of your device, or unset FCM_CREDENTIALS_PATH to use the simulator",
                )
        return cls(
            folder=Path(environment.get("DEMO_FOLDER") or DEFAULT_FOLDER),
            keep=environment.get("KEEP", "") not in ("", "0"),
            device_token=device_token,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Counts of notifications (`sent`, `failed`) and of messages: `accepted` as the rows say, `audited` as
    the simulator does, None without it. `agrees`: both name the same messages, one a device and notification.
    """

    sent: int
    failed: int
    devices: int
    accepted: int
    audited: int | None
    agrees: bool

    @property
    def ok(self) -> bool:
        return self.failed == 0 and self.agrees
