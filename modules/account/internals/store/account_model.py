"""The stored shape of an account."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from modules.account.types import Account


class AccountModel(BaseModel):
    """A document of `accounts`; its `_id` is the account's id, which callers choose."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: str = Field(alias="_id")
    locale: str
    time_zone: str
    # Documents of before there were tags have none.
    tags: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime

    def to_account(self) -> Account:
        return Account(
            id=self.id,
            locale=self.locale,
            time_zone=self.time_zone,
            tags=self.tags,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )
