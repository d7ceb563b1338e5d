"""The register: what keeps each of the eighteen rules, and the tests that miss it."""

from __future__ import annotations

from tests.rules.content import CONTENT
from tests.rules.control import CONTROL
from tests.rules.ownership import OWNERSHIP
from tests.rules.state import STATE

GUARDS = (*OWNERSHIP, *STATE, *CONTENT, *CONTROL)
