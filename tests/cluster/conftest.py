"""One cluster with the local overlay on it for all of these tests, which run in the order of their files.

`make cluster-test` builds the images and runs them; they are no part of `make test`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kube import LOCAL, ROOT, Cluster, cluster, rendered, why_none
from tests.support.onkube import Suite

IMAGES = ROOT / ".cache" / "images" / "layout"
"""Where `make cluster-test` puts them."""


@pytest.fixture(scope="session")
def kube() -> Iterator[Cluster]:
    missing = why_none()
    if missing is not None:
        pytest.skip(missing)
    with cluster(IMAGES) as made:
        yield made


@pytest.fixture(scope="session")
def suite(kube: Cluster) -> Suite:
    """The local overlay, up and ready."""
    kube.apply(rendered(LOCAL))
    suite = Suite(kube)
    suite.wait_ready()
    return suite
