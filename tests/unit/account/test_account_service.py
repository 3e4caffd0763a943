"""The account service before bootstrap."""

from __future__ import annotations

import pytest

from modules.account.account_service import AccountService
from modules.application.errors import NotBootstrappedError


def test_it_says_that_bootstrap_is_missing() -> None:
    with pytest.raises(NotBootstrappedError):
        AccountService.get_account(account_id="acc-1")
