"""A store that is full or refuses us is waited for; only a value that it cannot keep is an error
of the record that brought it."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import BulkWriteError, ConfigurationError, DocumentTooLarge, InvalidDocument

from tests.unit.intake.store_kit import (
    Answer,
    not_replicated,
    refused,
    store_that_answers,
    write_refused,
)
from tongban_common.store import DuplicateKey, Store, StoreUnavailableError, store_errors
from tongban_intake.readmodel.projection import RecordChange
from tongban_intake.readmodel.projector import Projector

OUT_OF_DISK, AUTHENTICATION_FAILED, UNAUTHORIZED, TOO_SLOW, QUOTA = 14031, 18, 13, 262, 8000
READ_ONLY, INDEX_CONFLICT, UNKNOWN = 20, 85, 99_999
TROUBLES = [
    OUT_OF_DISK, AUTHENTICATION_FAILED, UNAUTHORIZED, TOO_SLOW, QUOTA, READ_ONLY, INDEX_CONFLICT,
    UNKNOWN,
]  # fmt: skip
BAD_VALUE, TOO_LARGE, INVALID, DUPLICATE = 2, 10334, 121, 11000


async def insert(answer: Answer) -> None:
    async with store_that_answers(lambda _: answer) as url:
        store = Store(url, "test", timeout_ms=2000)
        try:
            with store_errors():
                await store.collection("orders").insert_one({"_id": "o"})
        finally:
            store.close()


async def find(answer: Answer) -> None:
    async with store_that_answers(lambda _: answer) as url:
        store = Store(url, "test", timeout_ms=2000)
        try:
            with store_errors():
                await store.collection("orders").find_one({"_id": "o"})
        finally:
            store.close()


async def project(answer: Answer, *others: Any) -> None:
    """Write a batch of the read model to a store that answers `answer` to the write."""

    def by_name(name: str) -> Answer:
        return answer if name == "update" else {"ok": 1}

    async with store_that_answers(by_name) as url:
        store = Store(url, "test", timeout_ms=2000)
        try:
            await Projector(store).write(
                {"r": RecordChange(), **{str(n): RecordChange() for n in others}}
            )
        finally:
            store.close()


@pytest.mark.parametrize("code", TROUBLES)
@pytest.mark.parametrize("act", [insert, find, project])
async def test_command_refused_by_the_store_is_unavailable(act: Any, code: int) -> None:
    with pytest.raises(StoreUnavailableError, match=str(code)) as caught:
        await act(refused(code))
    assert "张三" not in str(caught.value)


@pytest.mark.parametrize("code", TROUBLES)
@pytest.mark.parametrize("act", [insert, project])
async def test_write_refused_by_the_store_is_unavailable(act: Any, code: int) -> None:
    with pytest.raises(StoreUnavailableError, match=str(code)):
        await act(write_refused(code))


@pytest.mark.parametrize("code", [64, 79, 91, 100])
@pytest.mark.parametrize("act", [insert, project])
async def test_write_without_a_majority_is_unavailable(act: Any, code: int) -> None:
    with pytest.raises(StoreUnavailableError):
        await act(not_replicated(code))


@pytest.mark.parametrize("code", [BAD_VALUE, TOO_LARGE, INVALID])
@pytest.mark.parametrize("act", [insert, project])
async def test_value_the_store_cannot_keep_is_an_error_of_its_record(act: Any, code: int) -> None:
    with pytest.raises(Exception) as caught:
        await act(write_refused(code))
    assert not isinstance(caught.value, StoreUnavailableError)


async def test_batch_with_a_bad_value_and_a_full_disk_is_unavailable() -> None:
    errors = [{"index": n, "code": code} for n, code in enumerate((BAD_VALUE, OUT_OF_DISK))]
    with pytest.raises(StoreUnavailableError):
        await project({"ok": 1, "n": 0, "writeErrors": errors}, 2)


async def test_duplicate_key_stays_a_duplicate_key() -> None:
    with pytest.raises(DuplicateKey):
        await insert(write_refused(DUPLICATE))


@pytest.mark.parametrize("error", [DocumentTooLarge("large"), InvalidDocument("no BSON")])
def test_document_that_is_no_bson_is_an_error_of_its_record(error: Exception) -> None:
    with pytest.raises(type(error)), store_errors():
        raise error


def test_wrong_configuration_of_the_client_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError), store_errors():
        raise ConfigurationError("no such mechanism")


def bulk_error(*codes: int, concern: bool = False) -> BulkWriteError:
    errors = [{"index": n, "code": code} for n, code in enumerate(codes)]
    concerns = [{"code": 64}] if concern else []
    return BulkWriteError({"writeErrors": errors, "writeConcernErrors": concerns})


@pytest.mark.parametrize(
    "error",
    [bulk_error(OUT_OF_DISK), bulk_error(BAD_VALUE, OUT_OF_DISK), bulk_error(concern=True)],
)
def test_bulk_write_that_the_store_refused_is_unavailable(error: BulkWriteError) -> None:
    with pytest.raises(StoreUnavailableError), store_errors():
        raise error


def test_bulk_write_of_bad_values_is_an_error_of_its_record() -> None:
    with pytest.raises(BulkWriteError), store_errors():
        raise bulk_error(BAD_VALUE, DUPLICATE)
