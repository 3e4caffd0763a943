"""What the demo shows: progress, each notification's timeline, and where to look further."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo.types import DemoResult
from modules.device_token.types import Device
from modules.notification.types import PushNotification

WIDTH_WITHOUT_TERMINAL = 110


class Screen:
    """Writes for people on standard output; the line for programs comes after everything from here."""

    def __init__(self) -> None:
        console = Console(highlight=False, soft_wrap=True)
        self._console = (
            console
            if console.is_terminal
            else Console(highlight=False, soft_wrap=True, width=WIDTH_WITHOUT_TERMINAL)
        )
        self._started = time.monotonic()
        self._ui: str | None = None
        self._namespace = "default"

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._started

    def step(self, text: str) -> None:
        self._console.print(f"[dim]{self.seconds:5.1f} s[/dim]  {escape(text)}")

    def progress(self, text: str) -> None:
        self._console.print(f"[dim]{self.seconds:5.1f} s    {escape(text)}[/dim]")

    def web_ui(self, url: str | None, namespace: str) -> None:
        """Say where Temporal's Web UI is; the notifications' links lead there."""
        self._ui, self._namespace = url, namespace
        if url:
            self.step(f"Temporal's Web UI: {url}/namespaces/{namespace}/workflows")

    def results(self, notifications: Sequence[PushNotification], devices: Sequence[Device]) -> None:
        """One table a notification: what happened and when, and what each device came to."""
        platforms = {device.id: device.platform.value for device in devices}
        for notification in notifications:
            self._console.print()
            self._console.print(
                f"[bold]{escape(notification.title or '')}[/bold]  {notification.priority.value}, "
                f"[bold]{notification.status.value}[/bold]  [dim]{notification.id}[/dim]"
            )
            self._console.print(_timeline(notification, platforms))
            if self._ui:
                self._console.print(f"  {self._link(notification.id)}")
        self._console.print()

    def verdict(self, result: DemoResult) -> None:
        total = result.sent + result.failed
        line = f"{result.sent} of {total} notifications sent; {result.accepted} messages accepted"
        if result.audited is not None:
            agrees = "and they are the same" if result.agrees else "and they are NOT the same"
            line += f"; the simulator's audit log holds {result.audited}, {agrees}"
        self.step(line)

    def ways_in(self, variables: Mapping[str, str], account_id: str) -> None:
        """What to type in another terminal while the demo stays up."""
        self._console.print("\nIn another terminal, for the `notifications` command:")
        for name, text in sorted(variables.items()):
            self._console.print(f"  export {name}={escape(shlex.quote(text))}")
        self._console.print(f"  notifications list --account {account_id}\n")
        self._console.print("[bold]Everything stays up until Ctrl-C.[/bold]")

    def _link(self, notification_id: str) -> str:
        workflow = quote(f"push-notification/{notification_id}", safe="")
        return f"{self._ui}/namespaces/{quote(self._namespace)}/workflows/{workflow}"


def _timeline(notification: PushNotification, platforms: Mapping[str, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(justify="right")
    for entry in notification.timeline:
        since_created = (entry.at - notification.created_at).total_seconds() * 1000
        table.add_row(f"+{since_created:.0f} ms", entry.event, escape(entry.detail))
    for device in notification.devices:
        platform = platforms.get(device.device_id, "device")
        table.add_row("", f"→ {platform}", f"{device.outcome.value} {device.message_id or device.code}")
    if notification.error_message:
        table.add_row("", "error", escape(f"{notification.error_type}: {notification.error_message}"))
    return table
