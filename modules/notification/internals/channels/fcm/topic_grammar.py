"""Says whether a topic's name or a condition over topics is one that FCM takes."""

from __future__ import annotations

import re

# Firebase, "Send messages to topics": what a name is made of, and how many topics a condition may have.
MAX_CONDITION_TOPICS = 5
MAX_TOPIC_LENGTH = 900
MAX_CONDITION_LENGTH = 5_000

_NAME = rf"[a-zA-Z0-9\-_.~%]{{1,{MAX_TOPIC_LENGTH}}}"
_TOPIC = re.compile(_NAME)
_TOKEN = re.compile(rf"\s*(?:(?P<topic>'{_NAME}'\s+in\s+topics\b)|(?P<operator>&&|\|\|)|(?P<sign>[!()]))")


def is_topic(name: object) -> bool:
    return isinstance(name, str) and _TOPIC.fullmatch(name) is not None


def condition_problem(expression: object) -> str | None:
    """What is wrong with a condition: `'x' in topics`, joined by && and ||, with ! and parentheses."""
    if not isinstance(expression, str) or not 1 <= len(expression) <= MAX_CONDITION_LENGTH:
        return f"must be a condition over topics of 1 to {MAX_CONDITION_LENGTH} characters"
    topics = depth = position = 0
    wants_operand = True
    text = expression.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return f"cannot be read from character {position + 1} on"
        opens = token["sign"] in ("!", "(")
        is_topic_name = token["topic"] is not None
        depth += (token["sign"] == "(") - (token["sign"] == ")")
        if wants_operand is not (opens or is_topic_name) or depth < 0:
            return f"has something out of place after character {position}"
        topics += is_topic_name
        wants_operand = opens or token["operator"] is not None
        position = token.end()
    if wants_operand or depth:
        return "is not complete"
    return None if topics <= MAX_CONDITION_TOPICS else f"has more than {MAX_CONDITION_TOPICS} topics"
