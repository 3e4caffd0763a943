"""Keeps devices in MongoDB: one document an address, so that an address never belongs to two accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.records import read_record
from modules.application.repository import SECONDS_PER_DAY, Document, Repository, one_batch
from modules.application.transactions import in_transaction
from modules.device_token.errors import TooManyDevicesError
from modules.device_token.internals.device_params import DeviceRegistration
from modules.device_token.internals.installations import installation_id
from modules.device_token.internals.store.device_locks import DeviceLocks
from modules.device_token.internals.store.device_model import DeviceModel
from modules.device_token.internals.store.device_queries import (
    active_devices,
    key_of,
    matching_devices,
    others_of_installation,
)
from modules.device_token.internals.store.device_updates import (
    registration_update,
    state_update,
)
from modules.device_token.types import (
    Device,
    DeviceCriteria,
    DeviceRetirement,
    DeviceState,
    Platform,
    TargetKind,
)

SUPERSEDED = "superseded_by_installation"

_MOST_RECENT_FIRST = [("last_seen_at", DESCENDING), ("_id", DESCENDING)]
# The planner's trial can prefer the other index on account and state, and then sorts in memory.
_BY_ACCOUNT = "account_state"
_BY_AUDIENCE = "audience"
_BY_ADDRESS = "address"
# A command has at most 16 MB (MongoDB, "MongoDB Limits"); a retirement takes well below 1 KB of it.
_RETIREMENTS_A_COMMAND = 1_000
# Most accounts have few devices, so that one read mostly fills a page; with many it takes a few more.
_KEYS_AN_ACCOUNT = 2
# The same holds for a look-up of many accounts: grouping them costs the server half as much again.
_DEVICES_AN_ACCOUNT = 4


class DeviceRepository(Repository):
    """The collection `devices`; `address` keeps an address unique, `account_state` serves every lookup.

    `audience` alone answers who has a matching device; `inactive` removes those out of use for long.
    """

    collection_name = "devices"
    indexes: ClassVar[Sequence[IndexModel]] = (
        IndexModel(
            [("app_id", ASCENDING), ("kind", ASCENDING), ("address", ASCENDING)],
            name=_BY_ADDRESS,
            unique=True,
        ),
        IndexModel(
            [("account_id", ASCENDING), ("state", ASCENDING), *_MOST_RECENT_FIRST, ("app_id", ASCENDING)],
            name=_BY_ACCOUNT,
        ),
        IndexModel(
            [
                ("account_id", ASCENDING),
                ("state", ASCENDING),
                ("app_id", ASCENDING),
                ("platform", ASCENDING),
                ("last_seen_at", ASCENDING),
            ],
            name=_BY_AUDIENCE,
        ),
    )
    validator: ClassVar[Mapping[str, Any]] = {
        "$jsonSchema": {
            "bsonType": "object",
            "required": [
                "_id",
                "account_id",
                "app_id",
                "platform",
                "kind",
                "address",
                "state",
                "state_reason",
                "state_changed_at",
                "registered_at",
                "last_seen_at",
                "version",
            ],
            "additionalProperties": False,
            "properties": {
                "_id": {"bsonType": "objectId"},
                "account_id": {"bsonType": "string", "minLength": 1},
                "app_id": {"bsonType": "string", "minLength": 1},
                "platform": {"enum": [platform.value for platform in Platform]},
                "kind": {"enum": [kind.value for kind in TargetKind]},
                "address": {"bsonType": "string", "minLength": 1},
                "state": {"enum": [state.value for state in DeviceState]},
                "state_reason": {"bsonType": ["string", "null"]},
                "state_changed_at": {"bsonType": "date"},
                "registered_at": {"bsonType": "date"},
                "last_seen_at": {"bsonType": "date"},
                "version": {"bsonType": ["int", "long"], "minimum": 1},
            },
        }
    }

    def __init__(
        self, database: AsyncDatabase[Document], locks: DeviceLocks, *, inactive_days: float
    ) -> None:
        super().__init__(database)
        self._locks = locks
        self._inactive_days = inactive_days

    def index_models(self) -> Sequence[IndexModel]:
        leaving = IndexModel(
            [("state_changed_at", ASCENDING)],
            name="inactive",
            partialFilterExpression={"state": DeviceState.INACTIVE.value},
            expireAfterSeconds=int(self._inactive_days * SECONDS_PER_DAY),
        )
        return [*self.indexes, leaving]

    async def register(self, registration: DeviceRegistration, *, most: int) -> Device:
        """Make the address an active device of the account, the only one of its installation.

        Raises TooManyDevicesError, with nothing written, when the account has `most` others.
        """
        document = await self._patience.repeated(lambda: self._seen_again(registration))
        if document is None:
            document = await self._patience.repeated(self._transaction(self._registered, registration, most))
        return _device(document)

    async def _seen_again(self, registration: DeviceRegistration) -> Document | None:
        """Note that an active device was seen; None when it is none, or others of its installation are there.

        Whoever adds one of the same installation writes this device too, so that either is seen by the other.
        """
        others = others_of_installation(registration)
        if others is not None and await self._collection.find_one(others, {"_id": 1}, hint=_BY_ADDRESS):
            return None
        known = {"account_id": registration.account_id, "state": DeviceState.ACTIVE.value}
        return await self._collection.find_one_and_update(
            {**key_of(registration), **known},
            registration_update(registration),
            hint=_BY_ADDRESS,
            return_document=ReturnDocument.AFTER,
        )

    async def _registered(
        self, registration: DeviceRegistration, most: int, session: AsyncClientSession
    ) -> Document | None:
        key, others = key_of(registration), others_of_installation(registration)
        installation = installation_id(registration.kind, registration.address)
        locks: list[tuple[str, ...]] = [("account", registration.account_id)]
        if installation is not None:
            locks.append(("installation", registration.app_id, installation))
        await self._locks.take(locks, session)
        replaced = [key] if others is None else [key, others]
        await self._refuse_beyond(most, registration.account_id, replaced, session)
        document = await self._collection.find_one_and_update(
            key,
            registration_update(registration),
            upsert=True,
            hint=_BY_ADDRESS,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if others is not None:
            update = state_update(DeviceState.INACTIVE, SUPERSEDED)
            await self._collection.update_many(others, update, hint=_BY_ADDRESS, session=session)
        return document

    async def _refuse_beyond(
        self, most: int, account_id: str, replaced: Sequence[Document], session: AsyncClientSession
    ) -> None:
        """Raise TooManyDevicesError when the account has `most` active devices besides those `replaced`."""
        active = {"account_id": account_id, "state": DeviceState.ACTIVE.value}
        # Index keys alone answer the first question; nearly everybody is through with it.
        for wanted in (active, {**active, "$nor": list(replaced)}):
            found = await self._collection.count_documents(
                wanted, limit=most, hint=_BY_ACCOUNT, session=session
            )
            if found < most:
                return
        raise TooManyDevicesError(most)

    def _transaction(self, work: Callable[..., Awaitable[Any]], *of: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: in_transaction(self._database, partial(work, *of))

    async def find(self, device_id: str) -> Device | None:
        if not ObjectId.is_valid(device_id):
            return None
        document = await self._patience.repeated(
            lambda: self._collection.find_one({"_id": ObjectId(device_id)})
        )
        return None if document is None else _device(document)

    async def deactivate(self, *, account_id: str, device_id: str, reason: str) -> Device | None:
        """Take the device out of use; None when it is not this account's, or was out of use before."""
        if not ObjectId.is_valid(device_id):
            return None
        wanted = {
            "_id": ObjectId(device_id),
            "account_id": account_id,
            "state": {"$ne": DeviceState.INACTIVE.value},
        }
        update = state_update(DeviceState.INACTIVE, reason)
        # Repeated after it had landed, it would say that there was nothing to change.
        document = await self._patience.once(
            lambda: self._collection.find_one_and_update(wanted, update, return_document=ReturnDocument.AFTER)
        )
        return None if document is None else _device(document)

    async def retire_all(self, retirements: Sequence[DeviceRetirement]) -> set[str]:
        """Take every device out of use that did not change since its version; the ids of those that were."""
        retired: set[str] = set()
        for start in range(0, len(retirements), _RETIREMENTS_A_COMMAND):
            part = retirements[start : start + _RETIREMENTS_A_COMMAND]
            retired |= await self._patience.repeated(self._transaction(self._retired, part))
        return retired

    async def _retired(
        self, retirements: Sequence[DeviceRetirement], session: AsyncClientSession
    ) -> set[str]:
        wanted = {ObjectId(each.device_id): each for each in retirements if ObjectId.is_valid(each.device_id)}
        active = {"_id": {"$in": list(wanted)}, "state": DeviceState.ACTIVE.value}
        found = await self._collection.find(
            active, {"version": 1}, batch_size=one_batch(len(wanted)), session=session
        ).to_list()
        alike: dict[tuple[DeviceState, str], list[ObjectId]] = {}
        for device in found:
            each = wanted[device["_id"]]
            if device["version"] == each.version:
                alike.setdefault((each.state, each.code), []).append(device["_id"])
        for (state, code), ids in alike.items():
            await self._collection.update_many(
                {"_id": {"$in": ids}}, state_update(state, code), session=session
            )
        return {str(device_id) for ids in alike.values() for device_id in ids}

    async def reinstate(self, device_id: str, *, most: int) -> Device | None:
        """Make a quarantined device active; None when it was not quarantined.

        Raises TooManyDevicesError, with nothing written, when its account has `most` active ones.
        """
        device = await self.find(device_id)
        if device is None or device.state is not DeviceState.QUARANTINED:
            return None
        document = await self._patience.repeated(self._transaction(self._reinstated, device, most))
        return None if document is None else _device(document)

    async def _reinstated(self, device: Device, most: int, session: AsyncClientSession) -> Document | None:
        await self._locks.take([("account", device.account_id)], session)
        # After a commit that was not confirmed the device counts itself.
        itself = {"_id": ObjectId(device.id)}
        await self._refuse_beyond(most, device.account_id, [itself], session)
        return await self._collection.find_one_and_update(
            {"_id": ObjectId(device.id), "version": device.version},
            state_update(DeviceState.ACTIVE, None),
            return_document=ReturnDocument.AFTER,
            session=session,
        )

    async def erase(self, account_id: str) -> int:
        """Remove every device of the account; returns how many."""
        result = await self._patience.repeated(
            lambda: self._collection.delete_many({"account_id": account_id}, hint=_BY_ACCOUNT)
        )
        return result.deleted_count

    async def devices_of(
        self, *, account_id: str, states: Sequence[DeviceState], after: Device | None, limit: int
    ) -> list[Device]:
        """The account's devices that come after the device `after`, last seen first."""
        wanted: Document = {"account_id": account_id, "state": {"$in": [state.value for state in states]}}
        if after is not None:
            seen = after.last_seen_at
            wanted["last_seen_at"] = {"$lte": seen}
            wanted["$or"] = [{"last_seen_at": {"$lt": seen}}, {"_id": {"$lt": ObjectId(after.id)}}]
        return await self._most_recent(wanted, limit)

    async def active(self, *, account_id: str, app_id: str | None, limit: int) -> list[Device]:
        return await self._most_recent(active_devices([account_id], app_id), limit)

    async def active_for(
        self, *, account_ids: Sequence[str], app_id: str | None, limit: int
    ) -> dict[str, list[Device]]:
        wanted = active_devices(account_ids, app_id)
        most = len(account_ids) * _DEVICES_AN_ACCOUNT
        documents = await self._patience.repeated(lambda: self._in_order(wanted, most))
        if len(documents) == most:
            return await self._first_of_each(wanted, limit, len(account_ids))
        devices: dict[str, list[Device]] = {}
        for document in documents:
            devices.setdefault(document["account_id"], []).append(_device(document))
        return {account_id: each[:limit] for account_id, each in devices.items()}

    async def _in_order(self, wanted: Document, limit: int) -> list[Document]:
        cursor = self._collection.find(wanted, hint=_BY_ACCOUNT, limit=limit, batch_size=one_batch(limit))
        return await cursor.sort([("account_id", ASCENDING), *_MOST_RECENT_FIRST]).to_list()

    async def _first_of_each(self, wanted: Document, limit: int, accounts: int) -> dict[str, list[Device]]:
        # Cut off by the server ($firstN, MongoDB 5.2): 32 ms, not 94, when one of 501 accounts has 20,000.
        first = {"$firstN": {"n": limit, "input": "$$ROOT"}}
        pipeline: list[dict[str, Any]] = [
            {"$match": wanted},
            {"$sort": {"account_id": ASCENDING, **dict(_MOST_RECENT_FIRST)}},
            {"$group": {"_id": "$account_id", "devices": first}},
        ]

        async def grouped() -> list[Document]:
            cursor = await self._collection.aggregate(
                pipeline, hint=_BY_ACCOUNT, batchSize=one_batch(accounts)
            )
            return await cursor.to_list()

        groups = await self._patience.repeated(grouped)
        return {group["_id"]: [_device(document) for document in group["devices"]] for group in groups}

    async def accounts_with_devices(
        self, criteria: DeviceCriteria, *, after_account_id: str | None, limit: int
    ) -> list[str]:
        """The first `limit` accounts after `after_account_id` with a matching device, ascending, each once.

        Reads index keys only, and of one account at most `limit` times _KEYS_AN_ACCOUNT of them: what is left
        of it is passed over.
        """
        found: dict[str, None] = {}
        # Without a bound on its first field the index would be read for its order only.
        after = after_account_id or ""
        while (missing := limit - len(found)) > 0:
            wanted = {**matching_devices(criteria), "account_id": {"$gt": after}}
            keys = missing * _KEYS_AN_ACCOUNT
            documents = await self._patience.repeated(partial(self._keys_of, wanted, limit=keys))
            found.update(dict.fromkeys(document["account_id"] for document in documents))
            if len(documents) < keys:
                break
            after = documents[-1]["account_id"]
        return list(found)[:limit]

    async def _keys_of(self, wanted: Document, *, limit: int) -> list[Document]:
        cursor = self._collection.find(
            wanted, {"_id": 0, "account_id": 1}, hint=_BY_AUDIENCE, limit=limit, batch_size=limit
        )
        return await cursor.sort("account_id", ASCENDING).to_list()

    async def _most_recent(self, wanted: Document, limit: int) -> list[Device]:
        def found() -> Awaitable[list[Document]]:
            cursor = self._collection.find(wanted, hint=_BY_ACCOUNT).sort(_MOST_RECENT_FIRST)
            return cursor.limit(limit).to_list()

        documents = await self._patience.repeated(found)
        return [_device(document) for document in documents]


def _device(document: Mapping[str, Any] | None) -> Device:
    return read_record(DeviceModel, document).to_device()
