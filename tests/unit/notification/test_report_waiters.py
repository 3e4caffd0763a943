"""The board: whoever waits hears the next report, and nobody is remembered afterwards."""

from __future__ import annotations

from modules.notification.internals.delivery.report_waiters import ReportWaiters
from modules.notification.types import DeliveryReport, Status


def report(notification_id: str = "one", status: Status = Status.SENT) -> DeliveryReport:
    return DeliveryReport(notification_id=notification_id, status=status, note="accepted")


async def test_everyone_who_expects_a_report_gets_it() -> None:
    board = ReportWaiters()
    with board.expecting("one") as first, board.expecting("one") as second, board.expecting("two") as other:
        board.announce(report("one"))
        assert (first.result(), second.result(), other.done()) == (report("one"), report("one"), False)


async def test_the_first_report_stands() -> None:
    board = ReportWaiters()
    with board.expecting("one") as future:
        board.announce(report(status=Status.PENDING))
        board.announce(report(status=Status.SENT))
        assert future.result().status is Status.PENDING


async def test_a_report_nobody_waits_for_is_dropped() -> None:
    board = ReportWaiters()
    board.announce(report())
    with board.expecting("one") as future:
        assert not future.done()


async def test_who_has_left_is_forgotten_and_cancelled() -> None:
    board = ReportWaiters()
    with board.expecting("one") as future, board.expecting("one") as staying:
        pass
    assert future.cancelled()
    assert staying.cancelled()
    board.announce(report())
    assert board._waiting == {}
