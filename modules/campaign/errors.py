"""What campaigns refuse, and what they say of themselves when they cannot go on."""

from __future__ import annotations

from modules.application.errors import ConflictError, NotFoundError, ServiceError, UnavailableError
from modules.notification.errors import StartDeferredError


class CampaignUnconfirmedError(UnavailableError):
    """A majority of MongoDB did not confirm the campaign in time, or before the application was closed.

    It may be recorded, and may be sent. `campaign_id` is its id if it is. A repeat under the same key is
    safe.
    """

    def __init__(self, campaign_id: str) -> None:
        super().__init__(
            code="campaign_unconfirmed",
            reason=f"not confirmed in time; campaign {campaign_id} may be recorded and may be sent",
            may_have_happened=True,
        )
        self.campaign_id = campaign_id


class CampaignNotFoundError(NotFoundError):
    """No campaign is recorded under this id."""

    def __init__(self) -> None:
        super().__init__(
            code="campaign_not_found", field="campaign_id", reason="no campaign is recorded under this id"
        )


class CampaignPageNotFoundError(NotFoundError):
    """The campaign's audience has no such page."""

    def __init__(self) -> None:
        super().__init__(
            code="campaign_page_not_found", field="page", reason="the campaign's audience has no such page"
        )


class CampaignKeyConflictError(ConflictError):
    """The key was used before for another audience, content or rollout; nothing was written or sent."""

    def __init__(self) -> None:
        super().__init__(
            code="campaign_key_conflict",
            field="campaign_key",
            reason="this key was used before for another campaign",
        )


class CampaignFinishedError(ConflictError):
    """The campaign is cancelled, completed, planned or failed, or being ended: nothing can be changed."""

    def __init__(self, state: str) -> None:
        super().__init__(
            code="campaign_finished", field="campaign_id", reason=f"the campaign is {state} already"
        )


class CampaignDryRunError(ConflictError):
    """A dry run has nothing to deliver or to control."""

    def __init__(self) -> None:
        super().__init__(
            code="campaign_is_dry_run",
            field="campaign_id",
            reason="the campaign is a dry run: it sends nothing",
        )


class CampaignDeferredError(StartDeferredError):
    """The campaign is kept and the master worker will start it. `campaign_id` is its id."""

    def __init__(self, campaign_id: str, cause: ServiceError | None = None) -> None:
        super().__init__(f"campaign {campaign_id} is kept and started later", cause)
        self.campaign_id = campaign_id


class CampaignCommandDeferredError(UnavailableError):
    """What was asked for is recorded and holds from now on; the campaign's run has not confirmed it yet.

    `campaign_id` is its id. After a pause or a cancel nothing more goes out, whoever comes back to send it.
    """

    def __init__(self, campaign_id: str, why: str) -> None:
        super().__init__(
            code="campaign_command_deferred",
            reason=f"recorded and obeyed from now on; campaign {campaign_id} has not confirmed it yet: {why}",
        )
        self.campaign_id = campaign_id
