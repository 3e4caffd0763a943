"""Rules that single values have to keep; each notes what is wrong and never repeats the value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from modules.application.app_ids import APP_ID_RULE, is_app_id
from modules.application.errors import InvalidInputError, Problem
from modules.application.local_time import Meant, moment_meant

MAX_URL_LENGTH = 2048
MAX_NAME_LENGTH = 256
MAX_KEY_LENGTH = 255

# The code of an expiry that is past.
EXPIRED = "expired"
_SHOWN_KEY_LENGTH = 64
_SPACES_AND_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f]")


def app_id_problems(app_id: object, *, field: str = "app_id") -> list[Problem]:
    """What is wrong with the id of an app."""
    return [] if is_app_id(app_id) else [Problem("invalid_app_id", field, f"must be {APP_ID_RULE}")]


def is_only_expired(problems: Iterable[Problem]) -> bool:
    """True when nothing is wrong but that the expiry is past, which a repeated request's may be."""
    return [problem.code for problem in problems] == [EXPIRED]


class ProblemList:
    """Collects every problem of one input. A rule returns the value where it can be used, else None."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(self, code: str, field: str, reason: str) -> None:
        self._problems.append(Problem(code, field, reason))

    def extend(self, problems: list[Problem]) -> None:
        self._problems.extend(problems)

    def refuse(self) -> None:
        """Raise InvalidInputError with everything that was noted, if anything was."""
        if self._problems:
            raise InvalidInputError(self._problems)

    def text(self, value: object, field: str) -> str | None:
        """Text that can be sent: a string in UTF-8 without NUL."""
        if not isinstance(value, str):
            self.add("invalid_type", field, "must be a string")
            return None
        if not is_encodable(value):
            self.add("invalid_text", field, "holds half a surrogate pair, which UTF-8 cannot carry")
            return None
        if "\x00" in value:
            self.add("invalid_text", field, "holds a NUL character")
        return value

    def required_text(self, value: object, field: str) -> str | None:
        text = self.text(value, field)
        if text is not None and not text.strip():
            self.add("required", field, "must not be blank")
        return text

    def name(self, value: object, field: str, *, max_length: int = MAX_NAME_LENGTH) -> str | None:
        """An optional identifier: None, or 1 to `max_length` printable characters."""
        if value is None:
            return None
        text = self.text(value, field)
        if text is None:
            return None
        if text.strip() and len(text) <= max_length and text.isprintable():
            return text
        self.add("invalid_value", field, f"must have 1 to {max_length} printable characters")
        return None

    def choice(self, value: object, field: str, allowed: tuple[str, ...]) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or value not in allowed:
            self.add("invalid_value", field, f"must be one of {', '.join(allowed)}")
            return None
        return value

    def matching(self, value: object, field: str, pattern: re.Pattern[str], what: str) -> str | None:
        """An optional string that is `what`."""
        if value is None:
            return None
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.add("invalid_value", field, f"must be {what}")
            return None
        return value

    def https_url(self, value: object, field: str) -> str | None:
        """An optional absolute https address with a host, without spaces."""
        if value is None:
            return None
        text = self.text(value, field)
        if text is None:
            return None
        if len(text) <= MAX_URL_LENGTH and is_https_url(text):
            return text
        reason = f"must be an https address with a host, of at most {MAX_URL_LENGTH} characters"
        self.add("invalid_url", field, reason)
        return None

    def whole_number(self, value: object, field: str, *, maximum: int) -> int | None:
        """An optional whole number from 0."""
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
            self.add("invalid_value", field, f"must be a whole number from 0 to {maximum}")
            return None
        return value

    def key(self, value: object, field: str) -> None:
        """A name that the caller gives to a request, to find it again."""
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_KEY_LENGTH or not value.isprintable():
            self.add(f"invalid_{field}", field, f"must be 1 to {MAX_KEY_LENGTH} printable characters")

    def limit(self, value: object, *, most: int) -> None:
        """How many a listing is to have: 1 to `most`."""
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            self.add("invalid_limit", "limit", f"must be 1 to {most}")

    def moment(
        self,
        value: object,
        field: str,
        *,
        now: datetime | None = None,
        meant: Meant = Meant.AHEAD,
    ) -> datetime | None:
        """An optional time, returned in UTC; one without a zone is this host's local time.

        Of two readings the one counts that a person means at `now`, by this host's clock unless given.
        """
        if value is None:
            return None
        if not isinstance(value, datetime):
            self.add("invalid_type", field, "must be a datetime")
            return None
        try:
            return moment_meant(value, now=now or datetime.now(UTC), meant=meant)
        except (OverflowError, ValueError, OSError):
            self.add("invalid_value", field, "is outside the time this host can reckon with")
            return None


def is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def member_path(parent: str, key: str) -> str:
    """The path of a mapping's member, short and printable whatever the key is."""
    shown = key if len(key) <= _SHOWN_KEY_LENGTH else f"{key[:_SHOWN_KEY_LENGTH]}…"
    return f"{parent}.{shown if shown.isprintable() else ascii(shown)[1:-1]}"


def is_https_url(text: str) -> bool:
    """Whether it is an absolute https address with a host, without spaces."""
    if not text.startswith("https://") or _SPACES_AND_CONTROLS.search(text):
        return False
    try:
        parts = urlsplit(text)
        return bool((parts.hostname or "").strip(".")) and parts.port != 0
    except ValueError:
        return False
