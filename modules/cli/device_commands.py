"""`notifications device`: where an account can be reached."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from modules.cli.output import JsonOption, print_table, shortened_address, show, show_fields
from modules.cli.session import application
from modules.device_token.types import MAX_LISTED_DEVICES, Platform, TargetKind

if TYPE_CHECKING:
    from modules.device_token.types import Device

FROM_STANDARD_INPUT = "-"
app = typer.Typer(help="Devices: where an account can be reached.")

AccountOption = Annotated[str, typer.Option("--account", help="The account's id.")]


@app.command()
def add(
    account: AccountOption,
    platform: Annotated[Platform, typer.Option(help="What the device runs.")],
    token: Annotated[str, typer.Option(help="Its address at FCM; - reads it from standard input.")],
    kind: Annotated[TargetKind, typer.Option(help="What kind of address that is.")] = TargetKind.TOKEN,
    app_id: Annotated[str, typer.Option("--app", help="The FCM app it belongs to.")] = "default",
    _json: JsonOption = False,
) -> None:
    """Register a device, or note that it was seen again."""
    address = sys.stdin.read().strip() if token == FROM_STANDARD_INPUT else token
    with application():
        from modules.device_token.device_token_service import DeviceTokenService

        device = DeviceTokenService.register_device(
            account_id=account, platform=platform, kind=kind, address=address, app_id=app_id
        )
    show_fields(_document(device))


@app.command("list")
def list_(
    account: AccountOption,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are not sent to any more.")
    ] = False,
    after: Annotated[str | None, typer.Option(help="The id of the last device of the page before.")] = None,
    limit: Annotated[
        int, typer.Option(help=f"At most so many, 1 to {MAX_LISTED_DEVICES}.")
    ] = MAX_LISTED_DEVICES,
    _json: JsonOption = False,
) -> None:
    """The account's devices, last seen first."""
    with application():
        from modules.device_token.device_token_service import DeviceTokenService

        devices = DeviceTokenService.list_devices(
            account_id=account, include_inactive=everything, after_device_id=after, limit=limit
        )
    documents = [_document(device) for device in devices]
    columns = ("id", "platform", "kind", "app_id", "address", "state", "state_reason", "last_seen_at")
    show(
        {"account_id": account, "devices": documents},
        lambda console: print_table(
            console, columns, ([document[name] for name in columns] for document in documents)
        ),
    )


@app.command()
def remove(
    device_id: Annotated[
        str, typer.Argument(metavar="DEVICE_ID", help="The device's id, see `device list`.")
    ],
    account: AccountOption,
    _json: JsonOption = False,
) -> None:
    """Stop sending to a device until its app registers it again."""
    with application():
        from modules.device_token.device_token_service import DeviceTokenService

        device = DeviceTokenService.deactivate_device(account_id=account, device_id=device_id)
    show_fields(_document(device))


@app.command()
def reinstate(
    device_id: Annotated[
        str, typer.Argument(metavar="DEVICE_ID", help="The device's id, see `device list --all`.")
    ],
    _json: JsonOption = False,
) -> None:
    """Send to a quarantined device again."""
    with application():
        from modules.device_token.device_token_service import DeviceTokenService

        device = DeviceTokenService.reinstate_device(device_id=device_id)
    show_fields(_document(device))


def _document(device: Device) -> dict[str, object]:
    return {
        "id": device.id,
        "account_id": device.account_id,
        "app_id": device.app_id,
        "platform": device.platform,
        "kind": device.kind,
        "address": shortened_address(device.address),
        "state": device.state,
        "state_reason": device.state_reason,
        "registered_at": device.registered_at,
        "last_seen_at": device.last_seen_at,
    }
