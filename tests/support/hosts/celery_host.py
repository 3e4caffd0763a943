"""A celery application whose main process bootstraps before it forks its pool; every task sends.

Run as a program it asks for as many tasks as its argument says and prints what they answered.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery, signals

from tests.support.hosts.program import say, send, send_both, start

_FOLDER = os.environ["HOST_QUEUE_FOLDER"]
RESULT_SECONDS = 60.0

app = Celery(
    "tests.support.hosts.celery_host",
    broker="filesystem://",
    backend=f"file://{_FOLDER}",
    broker_transport_options={
        "data_folder_in": _FOLDER,
        "data_folder_out": _FOLDER,
        "control_folder": f"{_FOLDER}/control",
    },
)
app.conf.update(worker_enable_remote_control=False, broker_connection_retry_on_startup=True)


@app.task(name="send-both")  # type: ignore[untyped-decorator]
def send_both_task() -> dict[str, Any]:
    return send_both()


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def bootstrap_before_the_pool(**_: object) -> None:
    start()
    send()


if __name__ == "__main__":
    asked = [app.send_task("send-both") for _ in range(int(sys.argv[1]))]
    for each in asked:
        say(**each.get(timeout=RESULT_SECONDS))
