"""The slices of a campaign that its run has under way: begins, stops and takes them back."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from modules.campaign.run_types import CampaignRunParams, CampaignSlice, SliceReport
    from modules.campaign.workers.campaign_progress import begun, next_slice, pace_of
    from modules.campaign.workers.campaign_steps import begin_slice


@dataclass(slots=True)
class SliceUnderWay:
    """A slice that was begun; `stopped`: its activity was told to end."""

    part: CampaignSlice
    handle: workflow.ActivityHandle[SliceReport]
    stopped: bool = False

    def report(self) -> SliceReport | None:
        """What became of it, once it has ended; raises ActivityError when it could not be delivered.

        None for one that was stopped and that no process had begun, or whose process died.
        """
        try:
            return self.handle.result()
        except ActivityError:
            if not self.stopped:
                raise
            return None


class SlicesUnderWay:
    """Belongs to one run."""

    def __init__(self) -> None:
        self._slices: list[SliceUnderWay] = []

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def parts(self) -> list[CampaignSlice]:
        return [each.part for each in self._slices]

    def begin_next(self, progress: CampaignRunParams, now: float) -> CampaignRunParams:
        """Begin all that is to be under way at `now`, in seconds of Unix time; the progress then."""
        share_per_second = pace_of(progress.rate_per_second).share_per_second
        while part := next_slice(progress, self.parts, now):
            progress = begun(progress, part)
            self._slices.append(
                SliceUnderWay(part, begin_slice(progress.campaign_id, part, share_per_second))
            )
        return progress

    def stop(self) -> None:
        """Tell all to end; they report how far they got."""
        for each in self._slices:
            if not each.stopped:
                each.stopped = True
                each.handle.cancel()

    def any_has_ended(self) -> bool:
        return any(each.handle.done() for each in self._slices)

    def all_have_ended(self) -> bool:
        return all(each.handle.done() for each in self._slices)

    def take_ended(self) -> list[SliceUnderWay]:
        """Those that have ended; they are under way no more."""
        ended = [each for each in self._slices if each.handle.done()]
        self._slices = [each for each in self._slices if not each.handle.done()]
        return ended
