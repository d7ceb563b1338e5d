"""What may name a person, found by form alone: counted, so that a text can be kept out, or put behind a placeholder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address


def _passes_luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812)."""
    doubled = [sum(divmod(2 * int(sign), 10)) for sign in digits[-2::-2]]
    return (sum(doubled) + sum(int(sign) for sign in digits[::-2])) % 10 == 0


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) > 1 and _passes_luhn(digits)


def _is_iban(text: str) -> bool:
    """Its checksum (ISO 13616): the rearranged number leaves 1 on division by 97."""
    plain = text.replace(" ", "")
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_address(text: str) -> bool:
    try:
        return ip_address(text).is_global
    except ValueError:
        return False


def _is_email(text: str) -> bool:
    """Not what only looks like one: icon@2x.png."""
    ending = text.rpartition(".")[2].casefold()
    return len(ending) > 1 and not ending.isdigit() and ending not in _FILES


def _is_telephone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if _DATE.match(text):
        return False
    return 9 <= len(digits) <= 15 and len(set(digits)) > 2


_DATE = re.compile(r"(?:19|20)\d\d([-./])\d\d?\1\d\d?\b")
_FILES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "py", "html", "json"})

_KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    # git@github.com:owner/name is where a repository lies, and nobody's address.
    "email": (
        re.compile(
            r"(?<![\w.+-])(?!(?:git|hg|svn)@[\w.-]+[:/])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"
        ),
        _is_email,
    ),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _is_iban),
    "card": (re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), _is_card),
    "ip_address": (re.compile(r"(?<![\d.v])(?<!ersion )\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"), _is_address),
    "telephone": (
        re.compile(
            r"(?<![\w.,-])(?:\+\d{1,3}[ .-]?\(?\d{1,5}\)?(?:[ .-]\d{2,8}){1,4}"
            r"|(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)|\d{2,5})(?:[ .-]\d{2,5}){2,4})(?![\w-])"
        ),
        _is_telephone,
    ),
}
KINDS = tuple(_KINDS)


def personal(text: str) -> Counter[str]:
    """How many of each kind stand in a text; what counted as one kind counts as no later one."""
    return _without(text, lambda kind: "\n")[1]


def scrubbed(text: str) -> tuple[str, Counter[str]]:
    """A text with each of them behind a placeholder, as [email], and how many of each kind there were."""
    return _without(text, lambda kind: f"[{kind}]")


def _without(text: str, instead: Callable[[str], str]) -> tuple[str, Counter[str]]:
    found = Counter[str]()
    for kind, (pattern, holds) in _KINDS.items():
        parts, at = [], 0
        for match in pattern.finditer(text):
            if holds(match.group()):
                found[kind] += 1
                parts += [text[at : match.start()], instead(kind)]
                at = match.end()
        text = "".join([*parts, text[at:]])
    return text, +found
