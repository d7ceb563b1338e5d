"""What `make policy` makes of findings and reasons; the tools themselves it runs apart from the tests."""

from __future__ import annotations

from tests.deploy.policy import Finding, Reason, compare, reasons

FOUND = Finding("CKV_1", "Deployment.longstream.judge", "should not")


def test_every_exception_has_its_reason_and_stands_once() -> None:
    given = reasons()
    assert given
    assert all(len(reason.why.split()) >= 8 for reason in given)
    assert len({(reason.check, reason.where) for reason in given}) == len(given)


def test_a_reason_explains_only_its_own_check_in_its_own_place() -> None:
    assert compare({FOUND}, [Reason("CKV_1", "Deployment.*", "meant")]) == (set(), [])
    for other in (Reason("CKV_2", ".*", "meant"), Reason("CKV_1", "Deployment", "meant")):
        assert compare({FOUND}, [other]) == ({FOUND}, [other])
