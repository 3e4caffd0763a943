"""What a forked child does with its parent's native objects: nothing, not even take them down."""

from __future__ import annotations

import ctypes


def keep_for_ever(inherited: object) -> None:
    """Never let go of `inherited`, nor of what it holds, also not when the interpreter ends.

    The threads behind a parent's clients do not exist in the child: what releases them would wait for those.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
