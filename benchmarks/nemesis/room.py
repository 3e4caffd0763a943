"""The servers, processes and records of one nemesis run, from its beginning to what the checker reads."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.nemesis.caller import CallerParams, command_line
from benchmarks.nemesis.fault_hand import FaultHand
from benchmarks.nemesis.records import Call, Records, What, read_calls
from benchmarks.nemesis.schedule import CALLERS, Fault
from bootstrap import Role
from local_stack.local_stack_service import LocalStack
from modules.application.errors import ServiceError
from modules.application.worker import Lane
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import FINAL_STATES
from modules.campaign.types import Campaign, CampaignState
from tests.support.fault_room import HISTORIES_READ, FaultRoom
from tests.support.mongodb_nodes import MongodbNodes
from tests.support.servers import ROOT
from tests.support.service_process import ServiceProcess

# Requests a lane of a process has under way at most.
REQUESTS_IN_FLIGHT = 8
SCAN_EVERY_SECONDS = 3.0
LOOK_FOR_LEFT_SECONDS = 15.0
# Longer than a caller that is alive waits with its next command.
LEFT_FOR = timedelta(seconds=60)
LOOK_AGAIN_SECONDS = 0.2
LIST_PAGE = 100
SETTINGS = {
    "FCM_MAX_CONCURRENT_REQUESTS": REQUESTS_IN_FLIGHT,
    "FCM_REQUEST_TIMEOUT_SECONDS": 3,
    "FCM_CONNECT_TIMEOUT_SECONDS": 2,
    "RATE_RAMP_SECONDS": 0,
    "RATE_QUOTA_PER_MINUTE": 2_400,
    "IMMEDIATE_WAIT_SECONDS": 8,
    "MONGODB_OPERATION_TIMEOUT_SECONDS": 10,
    "WORKER_GRACEFUL_SHUTDOWN_SECONDS": 5,
    "LOG_LEVEL": "WARNING",
}
Tell = Callable[[str], None]


class NemesisRoom:
    """Everything of a run that outlives its faults; made by `opened`."""

    def __init__(self, room: FaultRoom, stack: LocalStack, seed: int, earlier: Path | None) -> None:
        self._room = room
        self._stack = stack
        self._seed = seed
        self._earlier = earlier
        self._turns = dict.fromkeys(CALLERS, 0)
        self._calls = stack.folder / "logs" / f"calls-{room.prefix}.jsonl"
        self._load_has_ended = threading.Event()
        self._resumed: list[Call] = []
        self._hand: FaultHand | None = None

    @classmethod
    @contextmanager
    def opened(cls, stack: LocalStack, *, seed: int, earlier: Path | None) -> Iterator[NemesisRoom]:
        with FaultRoom.opened(stack, **SETTINGS) as room:
            nemesis = cls(room, stack, seed, earlier)
            try:
                yield nemesis
            finally:
                nemesis.close()

    def begin(self, target: str, fault: Fault | None) -> ServiceProcess:
        """Start the caller or worker of this name; `fault`: it takes a killed one's place, and how it is."""
        if target in self._turns:
            turn, self._turns[target] = self._turns[target], self._turns[target] + 1
            params = CallerParams(
                name=target,
                turn=turn,
                place=CALLERS.index(target),
                callers=len(CALLERS),
                seed=self._seed,
                mark=self._room.address_mark,
                path=str(self._calls),
            )
            return self._room.process(*command_line(params))
        options: dict[str, Any] = {} if fault is None else fault.options
        earlier = self._earlier if options.get("earlier") else None
        # The archive of an earlier commit is served as it is, with the host's time.
        skew = 0.0 if earlier else float(options.get("skew_seconds", 0.0))
        return self._room.begin_worker(skew_seconds=skew, code=earlier or ROOT)

    def run(self, schedule: tuple[Fault, ...], tell: Tell) -> FaultHand:
        """Carry out the faults under load; returns when the load has ended and the servers are well again."""
        self._room.become(Role.CALLER)
        self._hand = hand = FaultHand(
            begin=self.begin,
            nodes=MongodbNodes(self._stack),
            temporal=self._stack.servers["temporal"],
            simulator=self._room.simulator,
        )
        operators = [threading.Thread(target=work) for work in (self._scan_on, self._resume_on)]
        for operator in operators:
            operator.start()
        try:
            hand.carry_out(schedule, tell)
        finally:
            self._load_has_ended.set()
            for operator in operators:
                operator.join()
            hand.calm()
        return hand

    def close(self) -> None:
        """Let ended processes lie, so that the room can end what still runs."""
        if self._hand is not None:
            self._hand.close()

    def _scan_on(self) -> None:
        """Trigger a scan every few seconds, as far as the servers let it."""
        while not self._load_has_ended.wait(SCAN_EVERY_SECONDS):
            with suppress(ServiceError):
                self._room.scan()

    def _resume_on(self) -> None:
        """Resume what killed callers left paused, as whoever operates them would: an hour leaves many."""
        while not self._load_has_ended.wait(LOOK_FOR_LEFT_SECONDS):
            with suppress(ServiceError):
                self._resume_held(left_before=datetime.now(UTC) - LEFT_FOR)

    def finish(self, within_seconds: float, tell: Tell) -> None:
        """Scan, and resume what was left paused, until nothing is open or the time is over."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            try:
                campaigns = self._resume_held()
                if self._room.open_count() == 0 and all(each.state in FINAL_STATES for each in campaigns):
                    return
                self._room.scan()
            except ServiceError as error:
                tell(f"not finished yet: {error.code}")
            time.sleep(LOOK_AGAIN_SECONDS)
        tell(f"{self._room.open_count()} row(s) are still open after {within_seconds:.0f} s")

    def _resume_held(self, left_before: datetime | None = None) -> list[Campaign]:
        """Resume all that are held, or those held since then; returns every campaign as it was."""
        campaigns = self._campaigns()
        for campaign in campaigns:
            if campaign.state not in (CampaignState.PAUSED, CampaignState.HALTED):
                continue
            if left_before is None or campaign.updated_at < left_before:
                self._resume(campaign.id)
        return campaigns

    def _resume(self, campaign_id: str) -> None:
        call = Call(
            id=f"finish.{len(self._resumed)}", what=What.RESUME, begun_at=time.time(), subject=campaign_id
        )
        self._resumed.append(call)
        CampaignService.resume_campaign(campaign_id=campaign_id)

    def _campaigns(self) -> list[Campaign]:
        found: list[Campaign] = []
        while True:
            before = found[-1].created_at if found else None
            page = CampaignService.list_campaigns(limit=LIST_PAGE, before=before)
            found += page
            if len(page) < LIST_PAGE:
                return found

    def records(self, hand: FaultHand) -> Records:
        """What the checker reads."""
        room, campaigns = self._room, self._campaigns()
        texts = {process.log.name: process.output for process in room.processes}
        texts[room.own_log.name] = room.own_log.read_text()
        queues = [room.task_queue(lane) for lane in Lane]
        texts |= {
            f"history {number}": history
            for number, history in enumerate(room.probe.histories(queues, HISTORIES_READ))
        }
        return Records(
            rows=room.whole_rows(),
            devices=room.devices(),
            audit=room.audit(),
            calls=[*read_calls(self._calls.read_text().splitlines()), *self._resumed],
            campaigns=campaigns,
            stand_stills=hand.stand_stills,
            self_ends=hand.self_ends,
            texts=texts,
            secrets=(room.address_mark,),
        )


def archive(revision: str, folder: Path) -> Path:
    """The files of an earlier commit, in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder
