"""A WSGI application that is loaded before its processes are forked; every request sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.support.hosts.program import send, send_both, start

start()
send()


def app(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(send_both()).encode()]
