"""The words of the erasure module: what was removed of a person who is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReport:
    """What was erased of an account: by collection, the documents removed, of `push_notifications` emptied.

    `withdrawn` of its notifications were still to be sent and are not any more. `interrupted` were being sent
    for longer than was waited: whether their message went out before is not known.
    """

    account_id: str
    erased: Mapping[str, int]
    withdrawn: int
    interrupted: int
