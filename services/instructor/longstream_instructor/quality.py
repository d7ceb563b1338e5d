"""From a model's reply to an instruction, or to a reason why there is none.

`clean` takes off what models put around an instruction: quotation marks, labels, chatter, markup, further
candidates. `assess` refuses what must not become training data. LongForm (arXiv 2304.08460) shows no sign of
either step. The limits on copying were measured on 559 human question-answer pairs: they refuse none of the
questions and 99.8 % of the answers' first sentences put in a question's place.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from longstream.decision import Decision

REASONS = (
    "empty",
    "cut",
    "refusal",
    "too_short",
    "too_long",
    "copies_document",
    "refers_to_text",
    "wrong_script",
)
"""Why an instruction may be refused, in the order in which it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an instruction must be to be kept. A toy model's pipeline may loosen each of them."""

    min_words: float = 3.0
    max_words: float = 60.0
    max_shared_run_words: float = 8.0
    """Longest run of words that instruction and document may share."""
    max_shared_share: float = 0.7
    """That run may be less than this share of the instruction; above 1 it is not looked at."""
    min_script_share: float = 0.3
    """Share of the document's letters that the instruction's script must have; 0 accepts any script."""
    allow_cut: bool = False
    """Keep a reply that ran into the token limit in its first line."""
    allow_refusal: bool = False
    """Keep what reads like a model that declines."""
    allow_reference: bool = False
    """Keep instructions that point to a text which their reader does not have."""


def clean(reply: str, finish_reason: Literal["stop", "length"]) -> str:
    """The first instruction in a reply, on one line, without what stands around it; empty if there is none.

    finish_reason: as the engine reported it. A first line that was cut at the token limit ends in an
    ellipsis, by which `assess` knows it. Cleaning what is clean changes nothing.
    """
    lines = _CONTROL.split(reply)[0].splitlines() or [""]
    for number, line in enumerate(lines):
        instruction = _cleaned_line(line)
        if instruction:
            cut = finish_reason == "length" and number == len(lines) - 1
            return f"{instruction.rstrip('. ')}\u2026" if cut else instruction
    return ""


def assess(instruction: str, document: str, limits: Limits) -> Decision:
    """Whether a cleaned instruction may stand for its document.

    Its reason is one of REASONS, the first that applies.
    """
    checks: dict[str, Callable[[], bool]] = {
        "empty": lambda: not any(letter.isalnum() for letter in instruction),
        "cut": lambda: not limits.allow_cut and instruction.endswith(("...", "\u2026")),
        "refusal": lambda: not limits.allow_refusal and _REFUSAL.search(_straight(instruction)) is not None,
        "too_short": lambda: _length(words(instruction)) < limits.min_words,
        "too_long": lambda: _length(words(instruction)) > limits.max_words,
        "copies_document": lambda: _copies(instruction, document, limits),
        "refers_to_text": lambda: not limits.allow_reference and _REFERENCE.search(instruction) is not None,
        "wrong_script": lambda: _script_share(instruction, document) < limits.min_script_share,
    }
    failed = next((reason for reason, fails in checks.items() if fails()), "")
    return Decision.drop(failed) if failed else Decision.keep()


def words(text: str) -> list[str]:
    """Words in lower case without punctuation; in scripts written without spaces, single letters."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def shared_run(instruction: list[str], document: list[str]) -> float:
    """Words in the longest run that both hold; time grows with the document and the matches in it."""
    places = defaultdict(list)
    for at, word in enumerate(instruction):
        places[word].append(at)
    longest = 0.0
    runs: dict[int, float] = {}
    for word in document:
        runs = {at: runs.get(at - 1, 0.0) + _weight(word) for at in places.get(word, ())}
        longest = max(longest, max(runs.values(), default=0.0))
    return longest


_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(f"[{_SPACELESS}]|(?:(?![{_SPACELESS}])\\w)+")

_CONTROL = re.compile(r"<\|[^<>|]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
_LABEL = re.compile(
    r"(?i)^\W{0,4}(?:(?:the|your|my|user'?s?|person'?s?|search|possible|original|detailed|casual)\s+)*"
    r"(?:instruction|message|query|question|prompt|request|input|user|x|q)"
    r"(?:\s*(?:no\.?|\#)?\s*\d{1,2})?\W{0,3}:(?:\*\*)?"
)
_CHATTER = re.compile(
    r"(?i)^(?:(?:sure|certainly|of course|okay|ok|absolutely)\b(?:[^:?]{0,100}:|[!.]\s|[!.,]?$)|great!"
    r"|here(?:'s| is| are)\b[^:]{0,100}:"
    r"|the (?:instruction|message|query|question)\b[^:]{0,60}"
    r"\b(?:is|was|could be|would be|might be)\b[^:]{0,20}:)"
)
_BULLET = re.compile(r"^(?:#{1,6}\s+|>\s+|[-*+\u2022]\s+|\(?\d{1,2}[.)]\s+|\(?[a-d]\)\s+)")
_FENCE = re.compile(r"^(?:```|~~~)\S*$|^[-=_*]{3,}$")
_BOLD = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*]+?)(?<=[^\s*])\1(?![\w*])")
_QUOTES = dict(zip("\"'`\u201c\u201e\u2018\u00ab", "\"'`\u201d\u201c\u2019\u00bb", strict=True))

_I_CANNOT = r"\bi (?:cannot|can't|can not|am unable to|am not able to|won't|will not)\b"
_REFUSAL = re.compile(
    r"(?i)\bas an? (?:ai|artificial intelligence)\b(?:,| (?:language )?(?:model|assistant|chatbot)\b| i\b)"
    r"|\bas a (?:large )?language model\b|\bi(?:'m| am) (?:just |only )?an? (?:ai|language model|chatbot)\b"
    rf"|^(?:i(?:'m| am) sorry|sorry|unfortunately|i apologi[sz]e)\b[^.?!]*{_I_CANNOT}"
    rf"|^{_I_CANNOT} (?:assist|help|provide|comply|fulfil|generate|create|produce|determine|infer"
    r"|(?:answer|write|give|state|say|see|read) (?:a|an|any|the|this|that|you|what)\b)"
)
_TEXT = r"(?:text|document|passage|article|excerpt|paragraph)s?"
_REPLY = r"(?:answer|response|reply|content|information|description)s?"
_REFERENCE = re.compile(
    rf"(?i)\b(?:above|preceding|following|given|provided|attached|aforementioned) (?:{_TEXT}|{_REPLY})\b"
    rf"|\b(?:{_TEXT}|{_REPLY}) (?:above|below|given|provided|attached)\b|\bthis {_TEXT}\b"
    rf"|\b(?:based on|according to|described in|stated in|mentioned in|explained in) the {_TEXT}\b"
    rf"|\b(?:from|in) the {_TEXT}(?=[,.?!;:]|$)|\bthe {_TEXT} (?:says?|mentions?|describes?|states?)\b"
)


def _cleaned_line(line: str) -> str:
    before, line = "", " ".join(line.split())
    while line != before:
        before = line
        if _FENCE.match(line):
            return ""
        line = _CHATTER.sub("", _BOLD.sub(r"\2", line), count=1).strip()
        line = _unquoted(_LABEL.sub("", _BULLET.sub("", line), count=1).strip()).strip()
    return line


def _unquoted(line: str) -> str:
    closing = _QUOTES.get(line[:1])
    if closing is None or len(line) < 2 or not line.endswith(closing):
        return line
    inside = line[1:-1]
    following = inside.find(closing)
    # In `"a" or "b"` the second mark closes the first, and the pair does not stand around the line.
    closes_early = following >= 0 and (
        closing != line[0] or (following > 0 and inside[following - 1] not in " (")
    )
    return line if closes_early else inside


def _straight(text: str) -> str:
    return text.replace("\u2019", "'")


def _weight(word: str) -> float:
    # Two letters make about one word where no spaces are written.
    return 0.5 if len(word) == 1 and re.match(f"[{_SPACELESS}]", word) else 1.0


def _length(found: list[str]) -> float:
    return sum(map(_weight, found))


def _copies(instruction: str, document: str, limits: Limits) -> bool:
    asked = words(instruction)
    run = shared_run(asked, words(document))
    return run > limits.max_shared_run_words or run >= limits.max_shared_share * _length(asked)


def _script_share(instruction: str, document: str) -> float:
    """Share of the document's letters that are in the script most of the instruction is written in."""
    asked, written = _scripts(instruction), _scripts(document)
    if not asked or not written:
        return 1.0
    return written[asked.most_common(1)[0][0]] / written.total()


def _scripts(text: str) -> Counter[str]:
    counts = Counter(text)
    scripts: Counter[str] = Counter()
    for letter, number in counts.items():
        if letter.isalpha():
            scripts[_script(letter)] += number
    return scripts


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    script = name.split(maxsplit=1)[0]
    # Japanese mixes three scripts in one sentence.
    return "CJK" if script in {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"} else script
