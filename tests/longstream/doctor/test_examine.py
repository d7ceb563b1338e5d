"""The checks together: bounded, in order, and each failure of a check is a finding."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from longstream.doctor.examine import CHECKS, Check, examine
from longstream.doctor.finding import Finding, ok, size
from longstream.doctor.place import Place
from longstream.errors import InvalidInput


def test_a_check_that_hangs_is_told_with_what_it_found_before_and_holds_up_nobody() -> None:
    never = threading.Event()

    def stuck(_: Place) -> Iterator[Finding]:
        yield ok("stuck", "begun")
        never.wait()

    checks = [Check("stuck", stuck), Check("quick", lambda _: [ok("quick", "done")])]
    began = time.monotonic()
    found = list(examine(Place(environ={}, patience_s=0.3), checks))
    assert time.monotonic() - began < 3
    assert [(one.level, one.check) for one in found] == [("ok", "stuck"), ("fail", "stuck"), ("ok", "quick")]
    never.set()


def test_an_error_within_a_check_is_a_finding_and_another_librarys_words_are_not_shown() -> None:
    def refused(_: Place) -> Iterator[Finding]:
        raise InvalidInput("the ca_file holds nothing")
        yield

    def broken(_: Place) -> Iterator[Finding]:
        raise RuntimeError("password=hunter2")
        yield

    found = list(examine(Place(environ={}), [Check("a", refused), Check("b", broken)]))
    assert [one.what for one in found] == ["the ca_file holds nothing", "cannot be looked at: RuntimeError"]


def test_every_check_has_a_name_of_its_own_and_says_something_where_nothing_is_known() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert not [one for one in examine(Place(environ={})) if one.level == "fail"]


def test_sizes_are_read_easily() -> None:
    assert [size(5), size(2048), size(3 << 30), size(5 << 40)] == ["5 bytes", "2.0 KiB", "3.0 GiB", "5.0 TiB"]
