"""Starting, stopping, killing and restarting the simulator."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from pyreqwest.exceptions import PyreqwestError

from tests.integration.simulator.conftest import StartSimulator
from tests.integration.simulator.processes import (
    ENGINES,
    ROOT,
    STOP_SECONDS,
    FcmClient,
    RunningSimulator,
    command,
    make_http_client,
)


def run_to_its_end(arguments: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, timeout=STOP_SECONDS, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


async def send_one(simulator: RunningSimulator, target: str, access_token: str | None = None) -> FcmClient:
    async with make_http_client(simulator) as client:
        fcm = FcmClient(simulator, client)
        if access_token is None:
            await fcm.authenticate()
        else:
            fcm.access_token = access_token
        response = await fcm.send(target)
        assert response.status == 200, await response.text()
        return fcm


@pytest.mark.parametrize("engine", ENGINES)
def test_it_says_where_it_listens_and_what_to_use(start_simulator: StartSimulator, engine: str) -> None:
    simulator = start_simulator("--engine", engine)
    ready = simulator.ready
    assert ready["ready"] is True
    assert ready["endpoint"] == f"https://127.0.0.1:{ready['port']}"
    assert simulator.control.health()["engine"] == engine
    for name, project in (
        ("credentials_path", "demo-project"),
        ("second_credentials_path", "demo-project-second"),
    ):
        credentials = simulator.credentials(name)
        assert (credentials["type"], credentials["project_id"]) == ("service_account", project)
        assert credentials["token_uri"] == f"{ready['endpoint']}/token"
        assert Path(ready[name]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_though_requests_are_open(
    start_simulator: StartSimulator, engine: str, number: signal.Signals
) -> None:
    simulator = start_simulator("--engine", engine)
    async with make_http_client(simulator) as client:
        fcm = FcmClient(simulator, client)
        await fcm.authenticate()
        hung = [asyncio.create_task(fcm.send("sim-hang-1")) for _ in range(3)]
        while len(await asyncio.to_thread(simulator.control.audit)) < 3:
            assert not any(task.done() for task in hung)
        assert await asyncio.to_thread(simulator.end, number) == 0
        results = await asyncio.gather(*hung, return_exceptions=True)
    assert all(isinstance(result, PyreqwestError) for result in results)
    assert not Path(f"/proc/{simulator.ready['pid']}").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", simulator.ready["port"]))


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_one_process(start_simulator: StartSimulator, engine: str) -> None:
    simulator = start_simulator("--engine", engine)
    pid = simulator.process.pid
    assert simulator.ready["pid"] == pid
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [(thread / "children").read_text() for thread in threads]
    assert "".join(children) == ""


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_was_accepted_survives_kill_9(
    start_simulator: StartSimulator, tmp_path: Path, engine: str
) -> None:
    first = start_simulator("--engine", engine)
    async with make_http_client(first) as client:
        fcm = FcmClient(first, client)
        await fcm.authenticate()
        answered: list[str] = []

        async def send_until_killed(worker: int) -> None:
            for number in range(1000):
                target = f"phone-{worker}-{number}"
                await fcm.send(target)
                answered.append(target)
                if len(answered) == 100:
                    first.process.kill()

        results = await asyncio.gather(*map(send_until_killed, range(20)), return_exceptions=True)
    assert all(isinstance(result, PyreqwestError) for result in results)
    assert first.close() == -signal.SIGKILL
    recorded = [json.loads(line)["target"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert set(answered) <= set(recorded)
    assert len(set(recorded)) == len(recorded) <= len(answered) + 20

    second = start_simulator("--engine", engine, port=first.ready["port"])
    assert [entry["target"] for entry in second.control.audit()] == recorded
    await send_one(second, "after", fcm.access_token)
    (entry,) = second.control.audit(since=len(recorded))
    assert (entry["sequence"], entry["target"]) == (len(recorded) + 1, "after")


async def test_keys_and_certificates_are_kept_and_the_port_is_rewritten(
    start_simulator: StartSimulator,
) -> None:
    first = start_simulator()
    before, authority = first.credentials(), first.ca
    assert first.end(signal.SIGTERM) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.ready["port"]))
        second = start_simulator()
        assert second.ready["port"] != first.ready["port"]
        after = second.credentials()
        assert after == {**before, "token_uri": f"{second.endpoint}/token"}
        assert second.ca == authority
        await send_one(second, "phone-1")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_taken_port_is_one_line_and_exit_code_1(tmp_path: Path, engine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, errors = run_to_its_end(command(tmp_path, "--engine", engine, port=port))
    assert code == 1
    assert (
        errors == f"simulator: port {port} on 127.0.0.1 is in use: choose another --port, 0 for a free one\n"
    )


def test_the_port_of_another_simulator_is_taken(start_simulator: StartSimulator, tmp_path: Path) -> None:
    running = start_simulator("--engine", "granian")
    other = tmp_path / "other"
    code, errors = run_to_its_end(command(other, "--engine", "granian", port=running.ready["port"]))
    assert (code, errors.count("\n")) == (1, 1)
    assert "is in use" in errors


def test_a_folder_is_for_one_simulator_at_a_time(start_simulator: StartSimulator, tmp_path: Path) -> None:
    running = start_simulator()
    code, errors = run_to_its_end(command(tmp_path))
    assert (code, errors.count("\n")) == (1, 1)
    assert "another simulator runs in" in errors
    assert running.control.health()["engine"] == "h2"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("service-account.json", "{"),
        ("service-account.json", "{}"),
        ("service-account.json", '{"project_id":"p","client_email":"e","private_key":"k"}'),
        ("audit.jsonl", "no audit\n"),
    ],
)
def test_a_broken_file_is_one_line_and_exit_code_1(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    code, errors = run_to_its_end(command(tmp_path))
    assert (code, errors.count("\n")) == (1, 1)
    assert name in errors


async def test_broken_certificates_are_replaced(start_simulator: StartSimulator, tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_text("broken")
    await send_one(start_simulator(), "phone-1")


@pytest.mark.parametrize(
    "options", [["--port", "x"], ["--port", "65536"], ["--latency-ms", "-1"], ["--engine", "x"]]
)
def test_bad_options_are_refused(tmp_path: Path, options: list[str]) -> None:
    code, errors = run_to_its_end([*command(tmp_path), *options])
    assert code == 2
    assert options[0] in errors
