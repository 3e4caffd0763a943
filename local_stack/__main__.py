"""`python -m local_stack`, as `make up` runs it."""

from __future__ import annotations

import typer

from local_stack.up_command import up
from modules.cli.program import run_process

PROGRAM = "python -m local_stack"
app = typer.Typer(add_completion=False)
app.command()(up)

if __name__ == "__main__":
    run_process(app, PROGRAM)
