"""All that commands print: one JSON document, or text for people; errors one line each."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modules.application.errors import Problem, ServiceError
from modules.application.setting_names import named_setting

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160
ABSENT = "-"
_LONG_ADDRESS = 40
_SHOWN_CHARACTERS = 6
_KEPT_IDS = ("notification_id", "campaign_id")


class _Mode:
    json = False


def begin() -> None:
    """Forget what an earlier command of this process asked for."""
    _Mode.json = False


def choose_json(wanted: bool) -> bool:
    """Print JSON from now on, if wanted; typer's callback of --json."""
    # The option may stand on the group and on the command; either one is enough.
    _Mode.json = _Mode.json or wanted
    return wanted


def wants_json() -> bool:
    return _Mode.json


JsonOption = Annotated[
    bool, typer.Option("--json", callback=choose_json, is_eager=True, help="Print one JSON document.")
]


def show(document: object, for_people: Callable[[Console], None]) -> None:
    """Print the document as JSON, or what `for_people` prints on the console."""
    if _Mode.json:
        print(to_json(document), flush=True)
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    for_people(console)
    sys.stdout.flush()


def show_fields(document: Mapping[str, object]) -> None:
    """Print a flat document: as JSON, or a line a field."""
    show(document, lambda console: print_fields(console, document))


def print_fields(console: Console, fields: Mapping[str, object]) -> None:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        grid.add_row(plain(name.replace("_", " ")), plain(value))
    console.print(grid)


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    console.print(table)


def note(line: str) -> None:
    """Say what goes on, on standard error, where it never mixes with a document."""
    print(plain(line), file=sys.stderr, flush=True)


@contextmanager
def told_when_interrupted(what: str) -> Iterator[None]:
    """Have Ctrl-C say what may have become of `what` is accepted within the block."""
    try:
        yield
    except KeyboardInterrupt:
        show_problems(code="interrupted", reason=f"{what} may have been accepted, and may go out")
        raise


def show_error(error: ServiceError) -> None:
    """A line on standard error for every problem, or one JSON document on standard output."""
    show_problems(
        code=error.code,
        field=error.field,
        reason=error.reason,
        problems=error.problems,
        # What was put off says under which id it is kept.
        kept={name: found for name in _KEPT_IDS if (found := getattr(error, name, None)) is not None},
    )


def show_problems(
    *,
    code: str,
    reason: str,
    field: str | None = None,
    problems: Sequence[Problem] = (),
    kept: Mapping[str, str] | None = None,
) -> None:
    problems = problems or (Problem(code, field, reason),)
    if _Mode.json:
        error = {"code": code, "field": field, "reason": reason, "problems": [asdict(p) for p in problems]}
        print(to_json({"error": {**error, **(kept or {})}}), flush=True)
        return
    for problem in problems:
        where = f"{named_setting(problem.field)}: " if problem.field else ""
        print(plain(f"error: {where}{problem.reason} ({problem.code})"), file=sys.stderr, flush=True)


def to_json(document: object) -> str:
    return json.dumps(document, default=_encoded, ensure_ascii=False)


def _encoded(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def plain(value: object) -> str:
    """One line of printable characters: stored text must not steer the terminal."""
    if value is None:
        return ABSENT
    text = value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def shortened_address(address: str) -> str:
    """Tells one device's address from another's without being one: the start of a long one, and a hash."""
    digest = sha256(address.encode()).hexdigest()[:12]
    start = address[:_SHOWN_CHARACTERS] if len(address) >= _LONG_ADDRESS else ""
    return f"{start}…#{digest}"
