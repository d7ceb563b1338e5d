"""Stores for the contract: each parameter is one kind, empty at the start of a test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from longstream.storage import Storage
from longstream.storage.s3_bucket import Bucket
from scripts.s3 import LocalGateway
from tests.support import gateway as gateways
from tests.support.gateway import BUCKET
from tests.support.shelves import FileShelf, S3Shelf, Shelf, settings_for

ShelfMaker = Callable[[], Shelf]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    with gateways.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session", params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def new_shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ShelfMaker]:
    """Makes an empty store. Add a parameter to hold another kind to the same contract."""
    if request.param == "file":
        yield lambda: FileShelf(folder=tmp_path_factory.mktemp("store"))
        return
    gateway = request.getfixturevalue("gateway")
    with closing(Bucket(BUCKET, settings_for(gateway.address))) as bucket:
        yield lambda: S3Shelf(gateway=gateway, bucket=bucket, prefix=f"shelf-{next(_numbers)}")


@pytest.fixture
def shelf(new_shelf: ShelfMaker) -> Shelf:
    return new_shelf()


@pytest.fixture
def storage(shelf: Shelf) -> Iterator[Storage]:
    with shelf.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def common_shelf(new_shelf: ShelfMaker) -> Shelf:
    """One store for all tests that do not mind what else is in it: opening an S3 client takes a while."""
    return new_shelf()


@pytest.fixture(scope="session")
def common_storage(common_shelf: Shelf) -> Iterator[Storage]:
    with common_shelf.open() as opened:
        yield opened
