"""What holds of kept receipts over any database: whether there are any, whose, page by page, and dropped."""

from __future__ import annotations

import pytest

from modules.notification.internals.store.receipt_repository import ReceiptRepository
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare, put

PAGE = 3
IDS = [f"message-{number}" for number in range(8)]


class ReceiptStoreContract:
    @pytest.fixture
    async def receipts(self, database: Database, prepare: Prepare) -> ReceiptRepository:
        receipts = ReceiptRepository(database)
        await prepare(receipts)
        return receipts

    @pytest.fixture
    async def kept(self, database: Database, receipts: ReceiptRepository) -> None:
        """One receipt for each of IDS, stored in no order."""
        await put(database, receipts, *({"_id": each, "at": RECENTLY} for each in (*IDS[4:], *IDS[:4])))

    async def test_without_receipts_there_is_nothing(self, receipts: ReceiptRepository) -> None:
        assert not await receipts.has_any()
        assert await receipts.among(IDS) == set()
        assert await receipts.page(after="") == []

    @pytest.mark.usefixtures("kept")
    async def test_those_of_these_ids_that_have_one_are_found(self, receipts: ReceiptRepository) -> None:
        assert await receipts.has_any()
        assert await receipts.among([IDS[5], "another", IDS[0]]) == {IDS[0], IDS[5]}
        assert await receipts.among([]) == set()

    @pytest.mark.usefixtures("kept")
    async def test_pages_hold_every_receipt_once_in_order(self, receipts: ReceiptRepository) -> None:
        pages: list[list[str]] = []
        while page := await receipts.page(after=pages[-1][-1] if pages else "", limit=PAGE):
            pages.append(page)
            assert len(pages) <= len(IDS)
        assert pages == [IDS[:3], IDS[3:6], IDS[6:]]

    @pytest.mark.usefixtures("kept")
    async def test_what_is_dropped_is_gone_and_nothing_else(self, receipts: ReceiptRepository) -> None:
        await receipts.drop([*IDS[1:], "another"])
        assert await receipts.page(after="") == [IDS[0]]
        await receipts.drop([IDS[0]])
        assert not await receipts.has_any()
