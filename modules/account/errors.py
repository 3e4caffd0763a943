"""What the account service refuses."""

from __future__ import annotations

from modules.application.errors import NotFoundError


class AccountNotFoundError(NotFoundError):
    """No account is recorded under this id."""

    def __init__(self) -> None:
        super().__init__(
            code="account_not_found", field="account_id", reason="no account is recorded under this id"
        )
