"""Shows text from outside in Temporal's Web UI as it is: what is set there is Markdown."""

from __future__ import annotations

import re

_BACKTICKS = re.compile("`+")


def as_code(text: object) -> str:
    """The text as one code span, in which Markdown and HTML mean nothing.

    What cannot be printed, a line break too, is shown as �. The fence is longer than any row of backticks
    in the text (CommonMark 0.31, 6.1).
    """
    shown = "".join(letter if letter.isprintable() else "�" for letter in str(text)) or " "
    fence = "`" * (1 + max((len(row) for row in _BACKTICKS.findall(shown)), default=0))
    # One space on each side is taken off again; without it a backtick at an end would join the fence.
    padding = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{padding}{shown}{padding}{fence}"
