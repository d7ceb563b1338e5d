"""One cluster for all of these tests, which run in the order of their files; most ask for the local overlay on it.

`make cluster-test` builds the images and runs them; they are no part of `make test`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.kube import LOCAL, ROOT, VARIABLE, Cluster, cluster, furnish, rendered, why_none
from tests.support.onkube import Suite

IMAGES = ROOT / ".cache" / "images" / "layout"
"""Where `make cluster-test` puts them."""


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """The cluster as it comes; no images are needed for it."""
    missing = why_none()
    if missing is not None and VARIABLE not in os.environ:
        pytest.skip(missing)
    assert missing is None, missing
    with cluster() as made:
        yield made


@pytest.fixture(scope="session")
def kube(bare: Cluster) -> Cluster:
    """The same with images and volumes."""
    furnish(bare, IMAGES)
    return bare


@pytest.fixture(scope="session")
def suite(kube: Cluster) -> Suite:
    """The local overlay, up and ready."""
    kube.apply(rendered(LOCAL))
    suite = Suite(kube)
    suite.wait_ready()
    return suite
