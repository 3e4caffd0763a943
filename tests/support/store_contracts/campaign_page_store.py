"""What holds of a campaign's stored pages over any database: written once, counted, and left to retention."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import ObjectId

from modules.application.repository import Document
from modules.campaign.errors import CampaignPageNotFoundError
from modules.campaign.internals.store.campaign_page_repository import (
    CampaignPage,
    CampaignPageRepository,
    Extent,
)
from modules.campaign.run_types import PAGE_ACCOUNTS
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare

ONE, OTHER = ObjectId(), ObjectId()
FULL_PAGE = [f"account-{number:04}" for number in range(PAGE_ACCOUNTS)]


async def stored(database: Database, campaign_id: ObjectId, number: int = 0) -> Document:
    page = await database["campaign_pages"].find_one({"campaign_id": campaign_id, "number": number})
    assert page is not None
    return page


class CampaignPageStoreContract:
    @pytest.fixture
    async def pages(self, database: Database, prepare: Prepare) -> CampaignPageRepository:
        pages = CampaignPageRepository(database, retention_days=90)
        await prepare(pages)
        return pages

    async def test_a_page_comes_back_as_it_was_inserted(self, pages: CampaignPageRepository) -> None:
        assert await pages.insert(ONE, 0, ["b", "a"])
        assert await pages.get(ONE, 0) == CampaignPage(account_ids=["b", "a"], is_visited=False)

    async def test_a_page_is_inserted_once(self, pages: CampaignPageRepository) -> None:
        assert await pages.insert(ONE, 0, ["a"])
        assert not await pages.insert(ONE, 0, ["b"])
        assert await pages.insert(ONE, 1, ["b"])
        assert await pages.insert(OTHER, 0, ["c"])
        found = [await pages.get(*page) for page in ((ONE, 0), (ONE, 1), (OTHER, 0))]
        assert [page.account_ids for page in found] == [["a"], ["b"], ["c"]]

    async def test_a_page_that_is_not_there_is_an_error(self, pages: CampaignPageRepository) -> None:
        await pages.insert(ONE, 0, ["a"])
        for page in ((ONE, 1), (OTHER, 0)):
            with pytest.raises(CampaignPageNotFoundError):
                await pages.get(*page)

    async def test_the_last_page_says_how_much_is_stored(self, pages: CampaignPageRepository) -> None:
        assert await pages.extent(ONE) == Extent()
        for number, account_ids in ((1, FULL_PAGE), (2, ["y", "z"]), (0, FULL_PAGE)):
            await pages.insert(ONE, number, account_ids)
        await pages.insert(OTHER, 7, ["a"])
        extent = await pages.extent(ONE)
        assert extent == Extent(pages=3, accounts=2 * PAGE_ACCOUNTS + 2, last_account_id="z")
        assert extent.has_end

    async def test_what_became_of_a_page_is_stored_with_the_page(
        self, database: Database, pages: CampaignPageRepository
    ) -> None:
        for page in ((ONE, 0), (ONE, 1), (OTHER, 0)):
            await pages.insert(*page, ["a", "b"])
        retry_at = RECENTLY + timedelta(minutes=1)
        await pages.store_tally(ONE, 0, {"sent": 1, "pending": 1}, retry_at=retry_at)
        visited = await stored(database, ONE)
        assert (visited["tally"], visited["retry_at"]) == ({"sent": 1, "pending": 1}, retry_at)
        assert (await pages.get(ONE, 0)).is_visited
        for untouched in ((ONE, 1), (OTHER, 0)):
            assert not (await pages.get(*untouched)).is_visited

    async def test_a_closed_page_keeps_what_was_said_of_it(
        self, database: Database, pages: CampaignPageRepository
    ) -> None:
        await pages.insert(ONE, 0, ["a"])
        await pages.insert(ONE, 1, ["b"])
        await pages.close(ONE, 0, {"sent": 1})
        await pages.store_tally(ONE, 0, {"pending": 1}, retry_at=RECENTLY)
        page = await stored(database, ONE)
        assert (page["tally"], page["retry_at"]) == ({"sent": 1}, None)
        assert abs(page["finished_at"] - RECENTLY) < timedelta(hours=1)
        assert "finished_at" not in await stored(database, ONE, 1)

    async def test_a_campaigns_pages_are_kept_and_finished_together(
        self, database: Database, pages: CampaignPageRepository
    ) -> None:
        every_page = ((ONE, 0), (ONE, 1), (OTHER, 0))
        for page in every_page:
            await pages.insert(*page, ["a"], finished_at=RECENTLY)
        await pages.keep(ONE)
        assert ["finished_at" in await stored(database, *page) for page in every_page] == [False, False, True]
        await pages.finish(ONE)
        await pages.keep(OTHER)
        assert ["finished_at" in await stored(database, *page) for page in every_page] == [True, True, False]

    async def test_counts_are_sums_over_a_campaigns_pages(self, pages: CampaignPageRepository) -> None:
        visits: dict[tuple[ObjectId, int], dict[str, int]] = {
            (ONE, 0): {"sent": 990, "failed:UNREGISTERED": 10},
            (ONE, 1): {"sent": 5, "failed:a.$b": 1},
            (ONE, 2): {},
            (OTHER, 0): {"sent": 2},
        }
        for page, tally in visits.items():
            await pages.insert(*page, ["a"])
            await pages.store_tally(*page, tally, retry_at=None)
        nobodys = ObjectId()
        assert await pages.tallies([ONE, nobodys]) == {
            ONE: {"sent": 995, "failed:UNREGISTERED": 10, "failed:a.$b": 1},
            nobodys: {},
        }
        assert await pages.tallies([ONE, OTHER]) == {
            **await pages.tallies([ONE]),
            OTHER: {"sent": 2},
        }

    async def test_a_campaigns_pages_are_deleted_and_no_others(self, pages: CampaignPageRepository) -> None:
        for page in ((ONE, 0), (ONE, 1), (OTHER, 0)):
            await pages.insert(*page, ["a"])
        await pages.delete(ONE)
        assert await pages.extent(ONE) == Extent()
        assert (await pages.extent(OTHER)).pages == 1
