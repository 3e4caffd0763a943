"""Processes that are forked after bootstrap send by themselves on first use, and end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.hosts.room import HostRoom
from tests.support.servers import ROOT, eventually
from tests.support.service_process import ServiceProcess

# Of a child, from its start to its end, on a busy machine.
CHILD_SECONDS = 15.0
HOST_SECONDS = 60.0
FORKS = 10
WORK = "def work(_): return send_both()\napplication ="
BEGIN = """
import multiprocessing, os, sys, time
from bootstrap import Role, bootstrap
from modules.application.errors import ServiceError
from modules.notification.errors import ImmediateSendDeferredError
from tests.support.hosts.program import say, send, send_both, start
def in_child(work):
    began, child = time.monotonic(), os.fork()
    if child == 0:
        work()
        sys.exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    say(code=code, took=time.monotonic() - began)
application = start()
send()
"""


def check_children(ended: Any, count: int) -> None:
    assert ended.code == 0, ended.errors
    codes = [(each["code"], each["took"] < CHILD_SECONDS) for each in ended.said if "code" in each]
    assert codes == [(7, True)] * count, ended.errors


def check_sent(room: HostRoom, answers: Sequence[Mapping[str, Any]]) -> None:
    for answer in answers:
        assert answer["status"] == "sent", answer
        assert answer["seconds"] < CHILD_SECONDS
        assert room.status(answer["normal"]) in ("pending", "processing", "sent")


def test_a_child_that_does_not_use_the_service_ends_with_its_own_code(room: HostRoom) -> None:
    ended = room.run(f"{BEGIN}\nfor _ in range({FORKS}): in_child(lambda: None)\nsay(parent=send())")
    check_children(ended, FORKS)
    assert ended.errors == ""
    assert room.status(ended.said[-1]["parent"]) == "sent"


def test_children_send_immediately_and_later_and_the_parent_goes_on(
    room: HostRoom, worker: ServiceProcess
) -> None:
    ended = room.run(
        f"{BEGIN}\nfor _ in range({FORKS}): in_child(lambda: say(**send_both()))\nsay(parent=send())"
    )
    check_children(ended, FORKS)
    assert ended.errors == ""
    answers = [each for each in ended.said if "immediate" in each]
    assert len({answer["pid"] for answer in answers}) == FORKS
    check_sent(room, answers)
    assert room.status(ended.said[-1]["parent"]) == "sent"
    assert room.accepted() >= FORKS + 2


def test_a_child_may_bootstrap_and_close_as_if_it_were_the_first(
    room: HostRoom, worker: ServiceProcess
) -> None:
    program = f"""{BEGIN}
def work():
    with bootstrap() as own:
        assert own is not application
        say(**send_both())
    application.close()
    try:
        send()
    except ServiceError as error:
        say(error=error.code)
def work_on_the_parents():
    send()
    application.close()
    try:
        send()
    except ServiceError as error:
        say(error=error.code)
in_child(work)
in_child(work_on_the_parents)
"""
    ended = room.run(program)
    check_children(ended, 2)
    check_sent(room, [each for each in ended.said if "immediate" in each])
    assert [each["error"] for each in ended.said if "error" in each] == ["not_bootstrapped"] * 2


def test_what_cannot_be_had_in_a_child_is_refused_at_once(room: HostRoom, worker: ServiceProcess) -> None:
    program = f"""{BEGIN}
def tell(work):
    try:
        work()
    except ServiceError as error:
        say(error=error.code, kept=getattr(error, "notification_id", None))
async def nothing(): pass
in_child(lambda: tell(lambda: bootstrap(role=Role.WORKER)))
in_child(lambda: tell(lambda: application.loop_thread.run(nothing())))
def twice():
    send()
    in_child(lambda: tell(send))
in_child(twice)
"""
    ended = room.run(program)
    check_children(ended, 4)
    refusals = [each for each in ended.said if "error" in each]
    assert [each["error"] for each in refusals] == [
        "cannot_serve_here",
        "process_forked",
        "temporal_unavailable",
    ]
    # The immediate message of a fork's fork is kept, and goes out with the next scan.
    assert room.status(refusals[-1]["kept"]) == "pending"


def test_without_any_worker_an_immediate_send_returns_when_its_wait_is_over(room: HostRoom) -> None:
    program = BEGIN.replace("start()\nsend()", "bootstrap(role=Role.OPERATOR)")
    ended = room.run(f"{program}\nin_child(lambda: say(**send_both()))", IMMEDIATE_WAIT_SECONDS="1")
    check_children(ended, 1)
    assert ended.said[0]["status"] == "pending"
    assert ended.said[0]["seconds"] < CHILD_SECONDS


def test_multiprocessing_by_fork(room: HostRoom, worker: ServiceProcess) -> None:
    program = f"""{BEGIN.replace("application =", WORK)}
with multiprocessing.get_context("fork").Pool(3) as pool:
    for answer in pool.map(work, range(6)):
        say(**answer)
    pool.close()
    pool.join()
"""
    ended = room.run(program)
    assert (ended.code, ended.errors) == (0, "")
    answers = [each for each in ended.said if "immediate" in each]
    assert len(answers) == 6
    check_sent(room, answers)


@contextmanager
def running(
    room: HostRoom, module: str, *arguments: str, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    with (room.folder / "host.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**room.environment, **variables},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_gunicorn_with_a_preloaded_application(room: HostRoom, worker: ServiceProcess) -> None:
    socket = room.folder / "gunicorn"
    options = ["--preload", "--workers", "2", "--no-control-socket", "--bind", f"unix:{socket}"]
    answers: dict[int, Any] = {}

    def both_have_answered() -> bool:
        answer = client.get("http://host/", headers={"connection": "close"}).raise_for_status().json()
        answers[answer["pid"]] = answer
        return len(answers) == 2

    with running(room, "gunicorn", *options, "tests.support.hosts.gunicorn_host:app") as process:
        eventually(socket.exists, within_seconds=HOST_SECONDS)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=HOST_SECONDS) as client:
            eventually(both_have_answered, within_seconds=HOST_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(CHILD_SECONDS) == 0
    log = (room.folder / "host.log").read_text()
    assert process.pid not in answers
    check_sent(room, list(answers.values()))
    assert "Traceback" not in log, log
    assert "was sent" not in log, "a worker that does not end by itself is killed"


def test_celery_with_its_prefork_pool(room: HostRoom, worker: ServiceProcess) -> None:
    module = "tests.support.hosts.celery_host"
    queue = room.folder / "queue"
    queue.mkdir()
    options = ["-A", module, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"]
    with running(room, "celery", *options, HOST_QUEUE_FOLDER=str(queue)) as process:
        asked = room.run_command([sys.executable, "-m", module, "6"], HOST_QUEUE_FOLDER=str(queue))
        assert asked.code == 0, asked.errors + (room.folder / "host.log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(CHILD_SECONDS) == 0
    assert len(asked.said) == 6
    assert process.pid not in {answer["pid"] for answer in asked.said}
    check_sent(room, asked.said)
    log = (room.folder / "host.log").read_text()
    assert "Traceback" not in log, log


# What the opening waits for in a parent: a server that takes connections and never says a word.
SILENT = """
import socket, threading
silent = socket.create_server(("127.0.0.1", 0))
own = dict(os.environ)
port = str(silent.getsockname()[1])
os.environ.update({name: value.replace("SILENT", port) for name, value in HELD.items()})
def open_parents():
    try:
        bootstrap()
        say(parent="open")
    except ServiceError as error:
        say(parent=error.code)
opening = threading.Thread(target=open_parents)
opening.start()
connection, _ = silent.accept()
def in_child_or_killed(work):
    began, child = time.monotonic(), os.fork()
    if child == 0:
        silent.close()
        connection.close()
        work()
        sys.exit(7)
    killing = threading.Timer(SECONDS, os.kill, (child, 9))
    killing.start()
    status = os.waitpid(child, 0)[1]
    killing.cancel()
    say(code=os.waitstatus_to_exitcode(status), took=time.monotonic() - began)
def go_on():
    silent.close()
    connection.close()
    opening.join()
"""
HELD = {
    "MongoDB": {"MONGODB_URI": "mongodb://127.0.0.1:SILENT/?directConnection=true"},
    "Temporal": {"TEMPORAL_ADDRESS": "127.0.0.1:SILENT"},
}


@pytest.mark.parametrize("waits_for", HELD)
def test_a_child_forked_while_the_first_application_opens_opens_its_own(
    room: HostRoom, worker: ServiceProcess, waits_for: str
) -> None:
    begin = BEGIN.replace("application = start()\nsend()\n", "")
    program = f"""{begin}
HELD, SECONDS = {HELD[waits_for]!r}, {CHILD_SECONDS}
{SILENT}
def work():
    os.environ.update(own)
    with start():
        say(**send_both())
in_child_or_killed(work)
go_on()
"""
    ended = room.run(program)
    check_children(ended, 1)
    check_sent(room, [each for each in ended.said if "immediate" in each])
    [parent] = [each["parent"] for each in ended.said if "parent" in each]
    assert parent == ("database_unavailable" if waits_for == "MongoDB" else "open")


def test_a_process_forked_before_anything_was_opened_serves_itself(room: HostRoom) -> None:
    program = BEGIN.replace("start()\nsend()", "None")
    ended = room.run(f"{program}\nin_child(lambda: (start(), say(**send_both())))")
    check_children(ended, 1)
    check_sent(room, [each for each in ended.said if "immediate" in each])
