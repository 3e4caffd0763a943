"""A port that is taken is replaced, or refused in one line when it was asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_stack.errors import PortTakenError
from local_stack.internals.free_ports import LOOPBACK, PortChooser, is_free
from local_stack.internals.mongodb_server import define_mongodb, find_mongod
from local_stack.internals.server_launcher import LaunchPlan, ServerLauncher
from local_stack.internals.server_process import ServerDefinition
from local_stack.internals.stack_folder import StackFolder
from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams, StackPorts, no_progress
from tests.integration.local_stack.stacks import client_of, only_mongodb, port_of, processes_in


@contextmanager
def occupied(port: int = 0) -> Iterator[int]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
        yield listener.getsockname()[1]


def any_free_port() -> int:
    return PortChooser(StackPorts(), {}, no_progress).choose("any")


def test_a_wished_port_is_taken_when_it_is_free(tmp_path: Path) -> None:
    port = any_free_port()
    with LocalStackService.start(only_mongodb(tmp_path, ports=StackPorts(mongodb=port))) as stack:
        assert f":{port}/" in stack.mongodb_uri


def test_a_wished_port_in_use_is_replaced_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    with occupied() as port:
        params = LocalStackParams(
            folder=tmp_path,
            temporal=False,
            simulator=None,
            use_configured=False,
            ports=StackPorts(mongodb=port),
            on_progress=said.append,
        )
        with LocalStackService.start(params) as stack:
            taken = port_of(stack.mongodb_uri.partition("?")[0])
    assert taken != port
    assert f"port {port} for mongodb is in use, taking {taken} instead" in said


def test_a_required_port_in_use_is_one_line_and_nothing_runs(tmp_path: Path) -> None:
    with occupied() as port:
        params = LocalStackParams(
            folder=tmp_path,
            simulator=None,
            use_configured=False,
            ports=StackPorts(temporal_ui=port, required=True),
        )
        with pytest.raises(PortTakenError) as refused:
            LocalStackService.start(params)
    assert refused.value.reason.startswith(f"port {port}, asked for by temporal_ui, is in use: stop ")
    assert "\n" not in refused.value.reason
    assert processes_in(tmp_path) == []


def test_kept_data_moves_to_another_port_when_its_own_is_taken(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path, keep_data=True)) as stack, client_of(stack) as client:
        client.rows.rows.insert_one({"_id": "kept"})
        before = port_of(stack.mongodb_uri.partition("?")[0])
    intruder = only_mongodb(tmp_path / "intruder", ports=StackPorts(mongodb=before, required=True))
    with (
        LocalStackService.start(intruder),
        LocalStackService.start(only_mongodb(tmp_path, keep_data=True)) as stack,
        client_of(stack) as client,
    ):
        assert port_of(stack.mongodb_uri.partition("?")[0]) != before
        assert client.rows.rows.find_one() == {"_id": "kept"}


def test_a_port_lost_between_choosing_and_listening_is_chosen_again(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.open()
    tried: list[int] = []
    intruder = socket.socket()

    def define(ports: dict[str, int]) -> ServerDefinition:
        tried.append(ports["mongodb"])
        if len(tried) == 1:
            intruder.bind((LOOPBACK, ports["mongodb"]))
            intruder.listen()
        return define_mongodb(
            name="mongodb",
            alone=True,
            program=find_mongod(),
            folder=folder,
            port=ports["mongodb"],
            cache_gigabytes=0.25,
            start_timeout_seconds=30,
        )

    launcher = ServerLauncher(folder, PortChooser(StackPorts(), {}, no_progress), no_progress)
    try:
        launcher.start_all([LaunchPlan(name="mongodb", port_names=("mongodb",), define=define)])
        assert launcher.ports["mongodb"] == tried[1] != tried[0]
    finally:
        intruder.close()
        launcher.stop_all()
        folder.close()


def test_chosen_ports_are_free_and_given_once() -> None:
    chooser = PortChooser(StackPorts(), {}, no_progress)
    ports = [chooser.choose(f"server-{number}") for number in range(50)]
    assert len(set(ports)) == len(ports)
    assert all(is_free(port) for port in ports)


def test_chosen_ports_are_none_that_outgoing_connections_get() -> None:
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    chooser = PortChooser(StackPorts(), {}, no_progress)
    assert not any(lowest <= chooser.choose(f"server-{number}") <= highest for number in range(50))


def test_a_remembered_port_is_given_again_until_it_is_taken() -> None:
    port = any_free_port()
    assert PortChooser(StackPorts(), {"mongodb": port}, no_progress).choose("mongodb") == port
    with occupied(port):
        assert PortChooser(StackPorts(), {"mongodb": port}, no_progress).choose("mongodb") != port
