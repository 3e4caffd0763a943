"""A program that sends and does not close ends at once, silently, with its own exit code, however it ends."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass

import pytest

from tests.support.hosts.room import HostRoom

# A second, and what a busy machine adds. Without an orderly stop it is half a minute.
END_SECONDS = 10.0
BEGIN = """
import asyncio, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor, thread
from modules.notification.notification_service import NotificationService
from tests.support.hosts.program import ACCOUNT, PARAMS, say, send, start
"""
SENT = f"{BEGIN}\nstart()\nsay(sent=send())\n"


@dataclass(frozen=True)
class Ending:
    program: str
    code: int = 0
    last_error_line: str = ""


ENDINGS = {
    "it falls off its end": Ending(SENT),
    "sys.exit": Ending(f"{SENT}sys.exit(3)", 3),
    "an exception": Ending(f"{SENT}raise KeyError('own')", 1, "KeyError: 'own'"),
    "Ctrl-C": Ending(f"{SENT}signal.raise_signal(signal.SIGINT)", -signal.SIGINT, "KeyboardInterrupt"),
    "SIGTERM": Ending(f"{SENT}os.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()", -signal.SIGTERM),
    "os._exit": Ending(f"{SENT}os._exit(5)", 5),
    "it closes by itself": Ending(f"{BEGIN}\napplication = start()\nsay(sent=send())\napplication.close()"),
    "asyncio.run": Ending(
        f"""{BEGIN}
start()
async def main():
    sent = await NotificationService.send_push_for_account_async(
        account_id=ACCOUNT, params=PARAMS, immediate=True
    )
    say(sent=sent)
asyncio.run(main())
"""
    ),
    "the last thread ends after the main one": Ending(
        f"""{BEGIN}
start()
main = threading.main_thread()
threading.Thread(target=lambda: (main.join(), say(sent=send()))).start()
"""
    ),
    "a pool still has work": Ending(
        f"""{BEGIN}
from tests.support.servers import eventually
start()
def work():
    # The interpreter's word that its end has begun.
    eventually(lambda: thread._shutdown)
    say(sent=send())
ThreadPoolExecutor(1).submit(work)
"""
    ),
    "an exit handler of its own sends": Ending(
        f"""{BEGIN}
import atexit
start()
atexit.register(lambda: say(sent=send()))
"""
    ),
    "nothing was sent": Ending(f"{BEGIN}\nstart()\nsay(sent=None)"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_program_ends_at_once_and_silently_when(room: HostRoom, name: str) -> None:
    ending = ENDINGS[name]
    ended = room.run(ending.program)
    assert ended.code == ending.code, ended.errors
    assert ended.said, ended.errors
    assert ended.errors.strip().rpartition("\n")[2] == ending.last_error_line
    if ending.last_error_line:
        assert ended.errors.count("Traceback") == 1, ended.errors
    assert ended.last_seconds < END_SECONDS
    if ended.said[-1]["sent"] is not None:
        assert room.status(ended.said[-1]["sent"]) == "sent"
        assert room.accepted() == 1


def test_an_interactive_session_and_a_command_line_program_end_so_too(room: HostRoom) -> None:
    for arguments in (["-c", SENT], ["-i", "-q", "-c", SENT]):
        ended = room.run_command([sys.executable, *arguments], stdin="exit(4)\n")
        assert ended.code == (4 if "-i" in arguments else 0), ended.errors
        assert ended.errors.replace(">>>", "").strip() == ""
        assert ended.last_seconds < END_SECONDS
        assert room.status(ended.said[-1]["sent"]) == "sent"


def test_a_test_run_ends_so_too(room: HostRoom) -> None:
    test_file = room.folder / "test_of_a_host.py"
    test_file.write_text(f"{BEGIN}\ndef test_sends():\n    start()\n    say(sent=send())\n")
    quiet = ["-o", "asyncio_default_fixture_loop_scope=function"]
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *quiet, str(test_file)]
    ended = room.run_command(command)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.last_seconds < END_SECONDS
    assert room.status(ended.said[-1]["sent"]) == "sent"


def test_what_was_accepted_is_kept_though_the_program_ends(room: HostRoom) -> None:
    ended = room.run(f"{BEGIN}\nstart()\nsay(sent=send(immediate=False))")
    assert ended.code == 0, ended.errors
    assert room.status(ended.said[-1]["sent"]) == "pending"


CALL_UNDER_WAY = f"""{BEGIN}
import atexit
from modules.application.errors import ServiceError
from tests.support.held_insert import HeldInsert
from tests.support.servers import eventually
answers = []
def tell():
    sender.join(60)
    say(sent=answers[0])
# Before the service's own, and so called after it.
atexit.register(tell)
start()
send(immediate=False)
key = {{"account_id": ACCOUNT, "idempotency_key": "wanted"}}
held = HeldInsert(os.environ["MONGODB_URI"], os.environ["MONGODB_DATABASE"], "push_notifications", key)
held.__enter__()
def send_held():
    try:
        answers.append(
            NotificationService.send_push_for_account(
                account_id=ACCOUNT, params=PARAMS, idempotency_key="wanted"
            )
        )
    except ServiceError as error:
        answers.append(repr(error))
sender = threading.Thread(target=send_held, daemon=True)
sender.start()
eventually(held.is_waited_for)
def release_at_the_close():
    try:
        while True:
            NotificationService.list_push_notifications(account_id=ACCOUNT)
    except ServiceError:
        held.release()
threading.Thread(target=release_at_the_close, daemon=True).start()
"""


def test_a_call_of_another_thread_that_is_under_way_at_the_end_is_answered(room: HostRoom) -> None:
    ended = room.run(CALL_UNDER_WAY)
    assert (ended.code, ended.errors) == (0, "")
    assert room.status(ended.said[-1]["sent"]) == "pending"
    assert ended.last_seconds < END_SECONDS
