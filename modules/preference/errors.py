"""What the preference service refuses."""

from __future__ import annotations

from modules.application.errors import ConflictError
from modules.preference.types import MAX_CATEGORIES


class TooManyCategoriesError(ConflictError):
    """The account already has a preference for as many categories as one document holds."""

    def __init__(self) -> None:
        super().__init__(
            code="too_many_categories",
            field="category",
            reason=f"an account has preferences for at most {MAX_CATEGORIES} categories",
        )
