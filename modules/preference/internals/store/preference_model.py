"""The stored shape of an account's preferences."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from modules.preference.types import Preferences


class PreferenceModel(BaseModel):
    """A document of `preferences`: all of one account's, so that one read answers every category."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    account_id: str = Field(alias="_id")
    default_allowed: bool | None
    categories: dict[str, bool]
    updated_at: datetime

    def to_preferences(self) -> Preferences:
        return Preferences(
            account_id=self.account_id,
            default_allowed=self.default_allowed,
            categories=self.categories,
            updated_at=self.updated_at,
        )
