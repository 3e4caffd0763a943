"""The stored shape of a one-time password."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class OneTimePasswordModel(BaseModel):
    """A document of `one_time_passwords`; salt and hash are gone once the code was used.

    `issued_at` are the codes of the last hour, this one the last; documents of before have none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: str = Field(alias="_id")
    account_id: str
    purpose: str
    ticket_id: str
    salt: bytes | None = Field(repr=False)
    code_hash: bytes | None = Field(repr=False)
    attempts_left: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    issued_at: list[datetime] = []
