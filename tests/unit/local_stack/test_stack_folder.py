"""One process a folder, and a folder that cannot be used says why in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from local_stack.errors import StackFolderError, StackInUseError
from local_stack.internals.stack_folder import StackFolder


class DiskUsage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_folder_is_held_by_one_stack_at_a_time(tmp_path: Path) -> None:
    first, second = StackFolder(tmp_path), StackFolder(tmp_path)
    first.open()
    with pytest.raises(StackInUseError) as refused:
        second.open()
    assert str(os.getpid()) in refused.value.reason
    assert "\n" not in refused.value.reason
    first.close()
    second.open()
    second.close()


def test_the_same_folder_under_another_name_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    first = StackFolder(tmp_path / "real")
    first.open()
    with pytest.raises(StackInUseError):
        StackFolder(tmp_path / "alias").open()
    first.close()


def test_ports_are_remembered_and_every_run_has_its_own_id(tmp_path: Path) -> None:
    first = StackFolder(tmp_path)
    first.open()
    first.state.ports = {"mongodb": 12345}
    first.save()
    first.close()
    second = StackFolder(tmp_path)
    second.open()
    assert second.state.ports == {"mongodb": 12345}
    assert second.state.run_id != first.state.run_id
    second.close()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 99}', '{"format": 1}', '{"format": 1, "processes": [{"x": 1}]}'],
)
def test_a_state_that_cannot_be_read_is_a_fresh_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    folder = StackFolder(tmp_path)
    folder.open()
    assert folder.state.ports == {}
    folder.close()


def test_a_file_in_the_way_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackFolderError) as refused:
        StackFolder(tmp_path / "file" / "stack").open()
    assert "Not a directory" in refused.value.reason
    assert "\n" not in refused.value.reason


def test_too_little_room_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DiskUsage(10**12, 10**12, 5 * 2**20))
    folder = StackFolder(tmp_path)
    with pytest.raises(StackFolderError) as refused:
        folder.open()
    assert "has 5 MB left" in refused.value.reason
    monkeypatch.undo()
    folder.open()
    folder.close()


def test_wiping_the_data_leaves_logs_and_state(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.open()
    (folder.data("mongodb") / "rows").touch()
    folder.log("mongodb").write_text("line")
    folder.wipe_data()
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "logs" / "mongodb.log").read_text() == "line"
    assert (tmp_path / "state.json").exists()
    folder.close()


def test_files_of_something_else_are_neither_used_nor_removed(tmp_path: Path) -> None:
    precious = tmp_path / "data" / "mongodb" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    folder = StackFolder(tmp_path)
    with pytest.raises(StackFolderError) as refused:
        folder.data("mongodb")
    assert str(precious.parent) in refused.value.reason
    folder.wipe_data()
    assert precious.read_text() == "mine"


def test_data_that_was_begun_and_never_complete_is_removed(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    half = folder.data("mongodb") / "half"
    half.write_text("")
    assert not any(folder.data("mongodb").iterdir())
    (folder.data("mongodb") / "whole").write_text("")
    folder.mark_complete("mongodb", "1")
    assert [path.name for path in folder.data("mongodb").iterdir()] == ["whole"]
    folder.wipe_data()
    assert not (tmp_path / "data").exists()
