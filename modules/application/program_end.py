"""Leaves a program its own end, whatever ran between its last line and its exit."""

from __future__ import annotations

import sys


def keep_ending_by_interrupt() -> None:
    """Have a program that an unhandled Ctrl-C ended report that signal, as it would without us.

    CPython remembers such an end in one flag, which any `exec` of a text clears (Python/pythonrun.c,
    `run_eval_code_obj`); the SDK's sandbox makes one for a workflow's task. The same way sets it again.
    """
    # At a prompt the last exception may be long past.
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        try:
            exec("raise KeyboardInterrupt")  # noqa: S102 - a constant
        except KeyboardInterrupt:
            return
