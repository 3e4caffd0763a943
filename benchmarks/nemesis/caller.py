"""A process that calls the service as its script says, and writes down each call and its answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from benchmarks.nemesis.load import (
    CampaignAction,
    Device,
    MoveAction,
    SendAction,
    campaigns,
    devices,
    moves,
    sends,
)
from benchmarks.nemesis.records import Call, What, begin_line, end_line
from bootstrap import bootstrap
from modules.application.errors import ServiceError
from modules.campaign.campaign_service import CampaignService
from modules.campaign.types import AccountList
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.notification_service import NotificationService
from modules.notification.types import OutcomePolicy, SendPushParams

# A server that is away is asked again, not stormed.
REST_AFTER_ERROR_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerParams:
    """Who a caller is: `name` once in a run, `turn` how often it was begun anew, `place` of `callers`.

    `path` is where its calls are written, `mark` stands in every title and address.
    """

    name: str
    turn: int
    place: int
    callers: int
    seed: int
    mark: str
    path: str


def account(number: int) -> str:
    return f"account-{number}"


def address(mark: str, number: int) -> str:
    return f"{mark}-device-{number}"


class CallBook:
    """Appends lines with one write(2) each: what was answered survives the caller."""

    def __init__(self, params: CallerParams) -> None:
        self._file = os.open(params.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._ids = (f"{params.name}.{params.turn}.{number}" for number in itertools.count())

    async def call(
        self, what: What, ask: Callable[[str], Awaitable[Any]], **about: Any
    ) -> tuple[Any, ServiceError | None]:
        """Make one call, by its id; returns its answer and the error it raised instead."""
        call_id = next(self._ids)
        self._write(begin_line(Call(id=call_id, what=what, begun_at=time.time(), **about)))
        try:
            answer = await ask(call_id)
        except ServiceError as error:
            answered = getattr(error, "notification_id", None) or getattr(error, "campaign_id", None)
            doubt = bool(getattr(error, "may_have_happened", False))
            self._write(
                end_line(
                    call_id, time.time(), answered_id=answered, error=error.code, may_have_happened=doubt
                )
            )
            await asyncio.sleep(REST_AFTER_ERROR_SECONDS)
            return answered, error
        answered = answer if isinstance(answer, str) else None
        self._write(end_line(call_id, time.time(), answered_id=answered))
        return answer, None

    def _write(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())


class Caller:
    """What one caller does, side by side, until it is killed."""

    def __init__(self, params: CallerParams) -> None:
        self._params = params
        self._book = CallBook(params)
        self._seed = f"{params.seed}/{params.name}/{params.turn}"

    async def run(self) -> None:
        owned = [each for each in devices() if each.number % self._params.callers == self._params.place]
        if self._params.turn == 0:
            for device in owned:
                await self._register(device.number, device.account)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_all(immediate=True))
            group.create_task(self._send_all(immediate=False))
            group.create_task(self._campaign_all())
            group.create_task(self._move_all(owned))

    async def _send_all(self, *, immediate: bool) -> None:
        for action in sends(f"{self._seed}/{immediate}", immediate=immediate):
            await self._send(action)
            await asyncio.sleep(action.rest_seconds)

    async def _send(self, action: SendAction) -> None:
        name = account(action.account)
        key = f"{self._seed}/{time.time_ns()}" if action.keyed else None
        title = f"{self._params.mark}-title-{time.time_ns()}"
        expires_in = None
        if action.expires_in_seconds is not None:
            expires_in = timedelta(seconds=max(0.1, action.expires_in_seconds))

        async def once() -> str | None:
            answered, _ = await self._book.call(
                What.SEND,
                lambda call_id: NotificationService.send_push_for_account_async(
                    account_id=name,
                    params=_message(title, at_most_once=action.at_most_once),
                    immediate=action.immediate,
                    expires_in=expires_in,
                    idempotency_key=key,
                    correlation_id=call_id,
                ),
                account_id=name,
                key=key,
            )
            return answered if isinstance(answered, str) else None

        if action.together:
            answers = await asyncio.gather(*(once() for _ in range(1 + action.repeats)))
        else:
            answers = [await once() for _ in range(1 + action.repeats)]
        answered = next((each for each in answers if each), None)
        if answered is None or action.cancel_after_seconds is None:
            return
        await asyncio.sleep(action.cancel_after_seconds)
        await self._book.call(
            What.CANCEL_ROW,
            lambda _: NotificationService.cancel_push_notification_async(notification_id=answered),
            subject=answered,
        )

    async def _campaign_all(self) -> None:
        for action in campaigns(f"{self._seed}/campaigns"):
            await self._campaign(action)
            await asyncio.sleep(action.rest_seconds)

    async def _campaign(self, action: CampaignAction) -> None:
        audience = tuple(account(number) for number in action.accounts)
        key = f"{self._seed}/{time.time_ns()}"
        expires_in = None
        if action.expires_in_seconds is not None:
            expires_in = timedelta(seconds=action.expires_in_seconds)

        async def once() -> str | None:
            answered, _ = await self._book.call(
                What.CAMPAIGN,
                lambda _: CampaignService.send_push_to_audience_async(
                    audience=AccountList(account_ids=audience),
                    params=_message(f"{self._params.mark}-title-{key}", at_most_once=action.at_most_once),
                    campaign_key=key,
                    expires_in=expires_in,
                    rate_per_second=action.rate_per_second,
                ),
                key=key,
                audience=audience,
            )
            return answered if isinstance(answered, str) else None

        answers = [await once() for _ in range(1 + action.repeats)]
        campaign_id = next((each for each in answers if each), None)
        if campaign_id is None:
            return
        commands = {
            What.PAUSE: CampaignService.pause_campaign_async,
            What.RESUME: CampaignService.resume_campaign_async,
            What.CANCEL: CampaignService.cancel_campaign_async,
        }
        for command in action.commands:
            await asyncio.sleep(command.after_seconds)
            await self._command(command.what, commands[command.what], campaign_id)

    async def _command(self, what: What, ask: Callable[..., Awaitable[Any]], campaign_id: str) -> None:
        await self._book.call(what, lambda _: ask(campaign_id=campaign_id), subject=campaign_id)

    async def _move_all(self, owned: list[Device]) -> None:
        for action in moves(f"{self._seed}/moves", owned):
            await self._move(action)
            await asyncio.sleep(action.rest_seconds)

    async def _move(self, action: MoveAction) -> None:
        if action.account is not None:
            await self._register(action.device, action.account)
            return
        target = address(self._params.mark, action.device)
        for number in {each.account for each in devices() if each.number == action.device}:
            await self._log_out(account(number), target)

    async def _log_out(self, account_id: str, target: str) -> None:
        device_id = await self._device_id(account_id, target)
        if device_id is not None:
            await self._book.call(
                What.LOG_OUT,
                lambda _: DeviceTokenService.deactivate_device_async(
                    account_id=account_id, device_id=device_id
                ),
                account_id=account_id,
                address=target,
            )

    async def _device_id(self, account_id: str, target: str) -> str | None:
        try:
            found = await DeviceTokenService.list_devices_async(account_id=account_id)
        except ServiceError:
            return None
        return next((each.id for each in found if each.address == target), None)

    async def _register(self, device: int, owner: int) -> None:
        target = address(self._params.mark, device)
        await self._book.call(
            What.REGISTER,
            lambda _: DeviceTokenService.register_device_async(
                account_id=account(owner), platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=target
            ),
            account_id=account(owner),
            address=target,
        )


def _message(title: str, *, at_most_once: bool) -> SendPushParams:
    policy = OutcomePolicy.AT_MOST_ONCE if at_most_once else OutcomePolicy.AT_LEAST_ONCE
    return SendPushParams(title=title, body="of the nemesis", outcome_policy=policy)


def command_line(params: CallerParams) -> tuple[str, str]:
    """The module and argument that start a caller."""
    return "benchmarks.nemesis.caller", json.dumps(asdict(params))


def main() -> None:
    params = CallerParams(**json.loads(sys.argv[1]))
    while True:
        try:
            bootstrap()
        except ServiceError:
            time.sleep(REST_AFTER_ERROR_SECONDS)
        else:
            break
    asyncio.run(Caller(params).run())


if __name__ == "__main__":
    main()
