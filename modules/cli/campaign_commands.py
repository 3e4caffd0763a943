"""`notifications campaign`: one message to an audience, by hand."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from modules.application.errors import Problem, UnavailableError
from modules.cli.campaign_options import AudienceOptions, parse_rate, parse_rollout
from modules.cli.campaign_watch import watch
from modules.cli.exit_codes import UsageProblemsError
from modules.cli.message_options import (
    AndroidSoundOption,
    ApnsSoundOption,
    BodyOption,
    CategoryOption,
    ClickActionOption,
    DataOption,
    ExpiresInOption,
    ImageUrlOption,
    InterruptionLevelOption,
    MessageOptions,
    PolicyOption,
    SilentOption,
    SoundOption,
    TitleOption,
)
from modules.cli.notification_commands import DEFAULT_LIST_LIMIT
from modules.cli.option_parsing import parse_duration
from modules.cli.output import JsonOption, print_fields, print_table, show, show_fields, told_when_interrupted
from modules.cli.session import application
from modules.device_token.types import Platform
from modules.notification.types import OutcomePolicy

if TYPE_CHECKING:
    from rich.console import Console

    from modules.campaign.types import Campaign

app = typer.Typer(help="Campaigns: one message to an audience.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The campaign's id.")]
_SEARCH, _PACE, _ROLLOUT = "Audience", "Pace", "Rollout"
AccountsFileOption = Annotated[
    str | None,
    typer.Option(help="Account ids, one a line; - is standard input.", rich_help_panel=_SEARCH),
]
PlatformOption = Annotated[
    list[Platform] | None, typer.Option(help="May be repeated.", rich_help_panel=_SEARCH)
]
AppOption = Annotated[
    str | None, typer.Option("--app", help="Only devices of this FCM app.", rich_help_panel=_SEARCH)
]
LocaleOption = Annotated[list[str] | None, typer.Option(help="May be repeated.", rich_help_panel=_SEARCH)]
TagOption = Annotated[
    list[str] | None, typer.Option(help="Any of them; may be repeated.", rich_help_panel=_SEARCH)
]
SeenOption = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601.", rich_help_panel=_SEARCH)]
TopicOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Subscribers of this topic.", rich_help_panel=_SEARCH)
]
ConditionOption = Annotated[
    str | None, typer.Option(metavar="EXPR", help="Over topics.", rich_help_panel=_SEARCH)
]
RateOption = Annotated[
    str | None, typer.Option(metavar="N", help="Accounts a second.", rich_help_panel=_PACE)
]
RolloutOption = Annotated[
    str | None, typer.Option(metavar="1,10,50,100", help="Steps, percent.", rich_help_panel=_ROLLOUT)
]
MaxErrorRateOption = Annotated[
    float | None, typer.Option(help="0 to 1; above it a step halts.", rich_help_panel=_ROLLOUT)
]
MaxP95Option = Annotated[
    float | None, typer.Option(help="Of FCM's answers; above it a step halts.", rich_help_panel=_ROLLOUT)
]
_LIST_COLUMNS = ("id", "campaign_key", "state", "wish", "accounts", "title", "created_at", "finished_at")


@app.command()
def send(
    *,
    key: Annotated[str, typer.Option(help="Sent once under this key.")],
    title: TitleOption = None,
    body: BodyOption = None,
    silent: SilentOption = False,
    data: DataOption = None,
    category: CategoryOption = "general",
    image_url: ImageUrlOption = None,
    click_action: ClickActionOption = None,
    policy: PolicyOption = OutcomePolicy.AT_LEAST_ONCE,
    sound: SoundOption = None,
    android_sound: AndroidSoundOption = None,
    apns_sound: ApnsSoundOption = None,
    interruption_level: InterruptionLevelOption = None,
    accounts_file: AccountsFileOption = None,
    platform: PlatformOption = None,
    app_id: AppOption = None,
    locale: LocaleOption = None,
    tag: TagOption = None,
    seen_after: SeenOption = None,
    seen_before: SeenOption = None,
    topic: TopicOption = None,
    condition: ConditionOption = None,
    expires_in: ExpiresInOption = None,
    rate: RateOption = None,
    rollout: RolloutOption = None,
    max_error_rate: MaxErrorRateOption = None,
    max_p95_ms: MaxP95Option = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and check, send nothing.")] = False,
    _json: JsonOption = False,
) -> None:
    """Send one message to an audience: accounts from a file, a search over devices, a topic or a condition.

    Exit code 0 says that the campaign is accepted for good; `campaign show` says how far it is.
    """
    problems: list[Problem] = []
    message = MessageOptions(
        title=title,
        body=body,
        silent=silent,
        data=data,
        category=category,
        image_url=image_url,
        click_action=click_action,
        policy=policy,
        sound=sound,
        android_sound=android_sound,
        apns_sound=apns_sound,
        interruption_level=interruption_level,
    )
    expiry = None if expires_in is None else parse_duration(expires_in, "expires_in", problems)
    audience_options = AudienceOptions(
        accounts_file=accounts_file,
        platforms=tuple(platform or ()),
        locales=tuple(locale or ()),
        tags=tuple(tag or ()),
        seen_after=seen_after,
        seen_before=seen_before,
        topic=topic,
        condition=condition,
        app_id=app_id,
    )
    audience_options.check(problems)
    query = audience_options.to_query(problems)
    params = message.to_params(app_id=None if audience_options.is_broadcast else app_id, problems=problems)
    rate_per_second = None if rate is None else parse_rate(rate, "rate", problems)
    steps = parse_rollout(rollout, max_error_rate=max_error_rate, max_p95_ms=max_p95_ms, problems=problems)
    if problems:
        raise UsageProblemsError(problems)
    with audience_options.opened(query) as audience, application():
        from modules.campaign.campaign_service import CampaignService

        with told_when_interrupted("the campaign"):
            campaign_id = CampaignService.send_push_to_audience(
                audience=audience,
                params=params,
                campaign_key=key,
                expires_in=expiry,
                rate_per_second=rate_per_second,
                rollout=steps,
                dry_run=dry_run,
            )
        accepted = _standing_of(campaign_id)
    show_fields({"campaign_id": campaign_id, **accepted})


@app.command("show")
def show_campaign(
    campaign_id: IdArgument,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow it until it is over, or until Ctrl-C.")
    ] = False,
    _json: JsonOption = False,
) -> None:
    """One campaign: where it stands and why, its counts, its failures, and the plan of a dry run.

    `wish` is what was asked for and is not so yet: a campaign to be paused or cancelled sends nothing more.
    With --watch and --json, one document a line for every change.
    """
    with application():
        from modules.campaign.campaign_service import CampaignService

        def read() -> Campaign:
            return CampaignService.get_campaign(campaign_id=campaign_id)

        if watching:
            with suppress(KeyboardInterrupt):
                watch(read, _show)
        else:
            _show(read())


@app.command("list")
def list_campaigns(
    limit: Annotated[int, typer.Option(help="At most so many, 1 to 100.")] = DEFAULT_LIST_LIMIT,
    _json: JsonOption = False,
) -> None:
    """Campaigns, newest first."""
    with application():
        from modules.campaign.campaign_service import CampaignService

        found = CampaignService.list_campaigns(limit=limit)
    documents = [_document(each) for each in found]
    show(
        {"campaigns": documents},
        lambda console: print_table(
            console, _LIST_COLUMNS, ([document[name] for name in _LIST_COLUMNS] for document in documents)
        ),
    )


@app.command()
def pause(campaign_id: IdArgument, _json: JsonOption = False) -> None:
    """Send nothing more until it is resumed; done when nothing is being sent.

    Exit code 3 says that it is recorded and obeyed, also by workers that come back, and not confirmed yet.
    """
    with application():
        from modules.campaign.campaign_service import CampaignService

        _show_state(CampaignService.pause_campaign(campaign_id=campaign_id))


@app.command()
def resume(campaign_id: IdArgument, _json: JsonOption = False) -> None:
    """Go on with a campaign that is paused or has halted; exit code 3 as for pause."""
    with application():
        from modules.campaign.campaign_service import CampaignService

        _show_state(CampaignService.resume_campaign(campaign_id=campaign_id))


@app.command()
def cancel(campaign_id: IdArgument, _json: JsonOption = False) -> None:
    """End a campaign for good; what is not sent yet is taken out of delivery. Exit code 3 as for pause."""
    with application():
        from modules.campaign.campaign_service import CampaignService

        _show_state(CampaignService.cancel_campaign(campaign_id=campaign_id))


@app.command("rate")
def set_rate(
    campaign_id: IdArgument,
    rate: Annotated[str, typer.Argument(metavar="N|none", help="Accounts a second; none: no limit.")],
    _json: JsonOption = False,
) -> None:
    """Deliver faster or slower from now on; exit code 3 as for pause."""
    problems: list[Problem] = []
    rate_per_second = parse_rate(rate, "rate", problems)
    if problems:
        raise UsageProblemsError(problems)
    with application():
        from modules.campaign.campaign_service import CampaignService

        _show_state(
            CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=rate_per_second)
        )


def _show(campaign: Campaign) -> None:
    show(_document(campaign), lambda console: _print_campaign(console, campaign))


def _standing_of(campaign_id: str) -> dict[str, object]:
    """What can be said of a campaign that is accepted: no more than why, where it cannot be read now."""
    from modules.campaign.campaign_service import CampaignService

    try:
        campaign = CampaignService.get_campaign(campaign_id=campaign_id)
    except UnavailableError as error:
        return {"state": None, "unseen": error.reason}
    return {"state": campaign.state, "accounts": campaign.accounts, "expires_at": campaign.expires_at}


def _show_state(campaign: Campaign) -> None:
    show_fields(
        {
            "campaign_id": campaign.id,
            "state": campaign.state,
            "reason": campaign.reason,
            "rate_per_second": campaign.rate_per_second,
            **campaign.counts,
        }
    )


def _document(campaign: Campaign) -> dict[str, object]:
    return asdict(campaign)


def _print_campaign(console: Console, campaign: Campaign) -> None:
    document = _document(campaign)
    nested = [document.pop(name) for name in ("counts", "failures", "plan", "rollout")]
    print_fields(console, {name: value for name, value in document.items() if value is not None})
    counts, failures, plan, rollout = nested
    for heading, figures in (("counts", counts), ("failures", failures), ("rollout", rollout)):
        if isinstance(figures, dict) and figures:
            print_table(console, (heading, ""), ((name, _flat(figure)) for name, figure in figures.items()))
    if isinstance(plan, dict):
        print_table(console, ("plan", ""), ((name, _flat(figure)) for name, figure in plan.items()))


def _flat(figure: object) -> object:
    if isinstance(figure, dict):
        return ", ".join(f"{name} {count}" for name, count in figure.items())
    if isinstance(figure, tuple):
        return ", ".join(f"{each:g}" for each in figure)
    return figure
