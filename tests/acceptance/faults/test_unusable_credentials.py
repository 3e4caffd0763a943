"""One credential that cannot be used closes its own app: workers start, and every other app is served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from local_stack.local_stack_service import LocalStack
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from tests.support.fault_room import FaultRoom


def register_with(room: FaultRoom, app_id: str) -> str:
    """An account with one device of the app."""
    account_id = f"account-of-{app_id}"
    DeviceTokenService.register_device(
        account_id=account_id,
        platform=Platform.ANDROID,
        kind=TargetKind.TOKEN,
        address=f"{room.address_mark}-{app_id}",
        app_id=app_id,
    )
    return account_id


@pytest.mark.parametrize("trouble", ["missing", "exposed", "malformed"])
def test_a_worker_serves_every_other_app_until_the_file_is_mended(
    trouble: str, room: FaultRoom, stack: LocalStack, tmp_path: Path
) -> None:
    file = tmp_path / "shop.json"
    if trouble == "exposed":
        shutil.copy(stack.simulator.credentials_path, file)
        file.chmod(0o644)
    elif trouble == "malformed":
        file.touch(mode=0o600)
        file.write_text("{")
    apps = json.dumps({"shop": {"credentials_path": str(file)}})
    room.environment["FCM_APPS"] = apps
    worker = room.worker()
    accounts = [room.accounts(1)[0], register_with(room, "shop")]
    served, kept = room.send_many(accounts)
    room.scan()
    room.wait_for_status(served, "sent")
    room.wait_until(lambda: room.row(kept)["error_type"] == "CREDENTIALS_UNUSABLE")
    row = room.row(kept)
    assert (row["status"], row["retry_count"]) == ("pending", 0)
    assert "fcm.no_access" in worker.output

    mended = shutil.copy(stack.simulator.credentials_path, tmp_path / "mended.json")
    Path(mended).chmod(0o600)
    Path(mended).replace(file)
    room.finish()
    assert room.row(kept)["status"] == "sent"
    assert worker.is_running
    room.assert_invariant()


def test_a_worker_starts_without_any_usable_credential(room: FaultRoom, tmp_path: Path) -> None:
    room.environment["FCM_CREDENTIALS_PATH"] = str(tmp_path / "nowhere.json")
    worker = room.worker()
    [account] = room.accounts(1)
    kept = room.send(account)
    room.scan()
    room.wait_until(lambda: room.row(kept)["error_type"] == "CREDENTIALS_UNUSABLE")
    assert room.row(kept)["status"] == "pending"
    assert worker.is_running
