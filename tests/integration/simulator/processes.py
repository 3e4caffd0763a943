"""The simulator as a process, and clients that speak to it over real sockets."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.request import ConsumedRequest
from pyreqwest.response import Response

from simulator.client import SimulatorControl
from simulator.token_endpoint import GRANT_TYPE

ROOT = Path(__file__).resolve().parents[3]
ENGINES = ("h2", "granian")
STOP_SECONDS = 10
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


def command(folder: Path, *options: str, port: int = 0) -> list[str]:
    return [sys.executable, "-m", "simulator", "--port", str(port), "--folder", str(folder), *options]


@dataclass
class RunningSimulator:
    """A started simulator and what it said when it was ready."""

    process: subprocess.Popen[bytes]
    ready: dict[str, Any]
    control: SimulatorControl

    @classmethod
    def start(cls, folder: Path, *options: str, port: int = 0) -> RunningSimulator:
        process = subprocess.Popen(command(folder, *options, port=port), cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the simulator ended with {process.wait(STOP_SECONDS)}"
        ready = json.loads(line)
        return cls(process, ready, SimulatorControl(ready["endpoint"], ready["ca_file"]))

    @property
    def endpoint(self) -> str:
        return str(self.ready["endpoint"])

    @property
    def ca(self) -> bytes:
        return Path(self.ready["ca_file"]).read_bytes()

    def credentials(self, name: str = "credentials_path") -> dict[str, str]:
        content = json.loads(Path(self.ready[name]).read_text())
        assert isinstance(content, dict)
        return content

    def end(self, number: int) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        return self.close()

    def close(self) -> int:
        code = self.process.wait(STOP_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def make_http_client(
    simulator: RunningSimulator, *, http2: bool = True, timeout_seconds: float = 30
) -> Client:
    """A client that trusts the simulator. A burst opens one HTTP/2 connection, not one a request."""
    builder = ClientBuilder()
    builder = builder.http2_prior_knowledge() if http2 else builder.http1_only()
    timeout = timedelta(seconds=timeout_seconds)
    return builder.add_root_certificate_pem(simulator.ca).timeout(timeout).build()


class FcmClient:
    """Sends as the service does, with an access token that it signed for."""

    def __init__(self, simulator: RunningSimulator, client: Client) -> None:
        self._simulator = simulator
        self._client = client
        self.access_token = ""

    async def authenticate(self) -> None:
        credentials = self._simulator.credentials()
        now = int(time.time())
        claims = {
            "iss": credentials["client_email"],
            "aud": credentials["token_uri"],
            "iat": now,
            "exp": now + 3600,
            "scope": SCOPE,
        }
        assertion = jwt.encode(claims, credentials["private_key"], algorithm="RS256")
        form = [("grant_type", GRANT_TYPE), ("assertion", assertion)]
        response = await self._client.post(credentials["token_uri"]).form(form).build().send()
        content = await response.json()
        assert response.status == 200, content
        self.access_token = content["access_token"]

    def request(self, target: str, *, validate_only: bool = False, **message: Any) -> ConsumedRequest:
        body = {
            "message": {"token": target, "notification": {"title": "Hello"}, **message},
            "validate_only": validate_only,
        }
        url = f"{self._simulator.endpoint}/v1/projects/demo-project/messages:send"
        return self._client.post(url).bearer_auth(self.access_token).body_json(body).build()

    async def send(self, target: str, *, validate_only: bool = False, **message: Any) -> Response:
        return await self.request(target, validate_only=validate_only, **message).send()
