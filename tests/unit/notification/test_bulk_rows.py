"""Laws of a bulk's rows: whose an id is, and what a part of a page holds."""

from __future__ import annotations

from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from modules.notification.internals.store.rows.bulk_rows import bulk_row_id, page_rows

account_ids = st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable())
bulk_ids = st.binary(min_size=12, max_size=12).map(ObjectId)


@given(bulk_ids, bulk_ids, account_ids, account_ids)
def test_a_row_id_is_of_one_bulk_and_one_account(
    one: ObjectId, other: ObjectId, account_id: str, another: str
) -> None:
    row_id = bulk_row_id(one, account_id)
    assert row_id == bulk_row_id(one, account_id)
    assert row_id.binary[:4] == one.binary[:4]
    assert (row_id == bulk_row_id(one, another)) is (account_id == another)
    assert (row_id == bulk_row_id(other, account_id)) is (one == other)


@given(bulk_ids, st.lists(account_ids, max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_a_part_of_a_page_has_the_rows_of_its_accounts(
    bulk_id: ObjectId, accounts: list[str], start: int, end: int
) -> None:
    part = page_rows(str(bulk_id), 3, accounts).part(start, end)
    assert part == page_rows(str(bulk_id), 3, accounts[start:end])
    assert part.row_ids == {each: bulk_row_id(bulk_id, each) for each in accounts[start:end]}
