"""Has Temporal's SDK download the server's program; a process of its own, run as a module."""

from __future__ import annotations

import asyncio
import os
import sys

from temporalio.testing import WorkflowEnvironment


async def download(version: str, folder: str) -> None:
    """Download into the folder. The SDK has no other way to it than starting a server, which ends here."""
    async with await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=version, dev_server_log_level="never"
    ):
        pass


def main() -> None:
    version, folder = sys.argv[1:]
    try:
        asyncio.run(download(version, folder))
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    # temporalio now and then aborts while the interpreter ends; the work is done, so it does not get to.
    os._exit(0)


if __name__ == "__main__":
    main()
