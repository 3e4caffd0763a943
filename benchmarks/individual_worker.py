"""The worker process of the `individual` benchmark: the service's own, and the bare workflows beside it."""

from __future__ import annotations

import asyncio

from temporalio.client import Client

from benchmarks.bare_workflow import queued_workers
from bootstrap import Application
from demo.serve import run_process, serve

_serving: list[asyncio.Task[None]] = []


def _serve_bare(application: Application) -> None:
    async def start() -> None:
        temporal = application.settings.temporal
        client = await Client.connect(temporal.address, namespace=temporal.namespace)
        slots = application.settings.worker.max_concurrent_deliveries
        for worker in queued_workers(client, slots=slots):
            _serving.append(asyncio.create_task(worker.run()))

    application.loop_thread.run(start())


if __name__ == "__main__":
    run_process(lambda: serve(also=_serve_bare))
