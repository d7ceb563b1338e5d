"""Whether an instruction may stand for its document, or the reason why it may not.

LongForm (arXiv 2304.08460) shows no sign of such a step. The limits on copying were measured on 559 human
question-answer pairs: they refuse none of the questions and 99.8 % of the answers' first sentences put in a question's
place. That of the language was measured on 595 English questions and on those of the Debian FAQ in seven languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from longstream.data.language import probability_of
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
    "wrong_language",
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
    min_language_probability: float = 0.1
    """That the instruction is in the document's language; 0 accepts any."""
    allow_cut: bool = False
    """Keep a reply that ran into the token limit in its first line."""
    allow_refusal: bool = False
    """Keep what reads like a model that declines."""
    allow_reference: bool = False
    """Keep instructions that point to a text which their reader does not have."""


def assess(instruction: str, document: str, limits: Limits, language: str = "") -> Decision:
    """Whether a cleaned instruction may stand for its document.

    language: of the document, as ISO 639-1, where it is certain. The reason is one of REASONS, the first that applies.
    """
    checks: dict[str, Callable[[], bool]] = {
        "empty": lambda: not any(letter.isalnum() for letter in instruction),
        "cut": lambda: not limits.allow_cut and instruction.endswith(("...", "\u2026")),
        "refusal": lambda: not limits.allow_refusal and declines(instruction),
        "too_short": lambda: _length(words(instruction)) < limits.min_words,
        "too_long": lambda: _length(words(instruction)) > limits.max_words,
        "copies_document": lambda: _copies(instruction, document, limits),
        "refers_to_text": lambda: not limits.allow_reference and _REFERENCE.search(instruction) is not None,
        "wrong_script": lambda: _script_share(instruction, document) < limits.min_script_share,
        "wrong_language": lambda: bool(language) and _is_in_another(instruction, language, limits),
    }
    failed = next((reason for reason, fails in checks.items() if fails()), "")
    return Decision.drop(failed) if failed else Decision.keep()


def declines(text: str) -> bool:
    """Whether a model says that it cannot, in place of what it was asked for."""
    return _REFUSAL.search(text.replace("\u2019", "'")) is not None


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


LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru", "zh")
"""Those that an instruction is told from: of few words, among all languages, too many would be taken for rare ones."""
_LEAST_LETTERS = 20
"""An instruction with fewer tells no language."""

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(f"[{_SPACELESS}]|(?:(?![{_SPACELESS}])\\w)+")

_I_CANNOT = r"\bi (?:cannot|can't|can not|am unable to|am not able to|won't|will not)\b"
_REFUSAL = re.compile(
    r"(?i)^(?:es tut mir leid|(?:ich )?entschuldig|leider kann ich|als ki\b"
    r"|lo siento|lamento|como (?:una )?(?:ia|inteligencia artificial)\b"
    r"|(?:je suis )?désolée?\b|je ne peux pas (?:vous|t')|en tant qu'(?:ia|intelligence artificielle)\b"
    r"|извините|простите, но|к сожалению, я)"
    r"|\bas an? (?:ai|artificial intelligence)\b(?:,| (?:language )?(?:model|assistant|chatbot)\b| i\b)"
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
    r"|\b(?:dies(?:e[rsmn]?|er)|obige[rsmn]?|vorliegende[rsmn]?) (?:text|dokument|abschnitt|artikel|beitrag)e?s?\b"
    r"|\b(?:este|el presente) (?:texto|documento|artículo|pasaje|párrafo)\b|\b(?:texto|documento) anterior\b"
    r"|\b(?:ce|le présent) (?:texte|document|passage|paragraphe)\b|\bcet article\b"
    r"|\b(?:texte|document) ci-dessus\b"
    r"|(?:этот|этого|этом|данный|данного|данном) (?:текст|документ|отрывк?|стать)[а-я]*"
    r"|(?:текст|документ|статья) выше"
)


def _weight(word: str) -> float:
    # Two letters make about one word where no spaces are written.
    return 0.5 if len(word) == 1 and re.match(f"[{_SPACELESS}]", word) else 1.0


def _length(found: list[str]) -> float:
    return sum(map(_weight, found))


def _copies(instruction: str, document: str, limits: Limits) -> bool:
    asked = words(instruction)
    run = shared_run(asked, words(document))
    return run > limits.max_shared_run_words or run >= limits.max_shared_share * _length(asked)


def _is_in_another(instruction: str, language: str, limits: Limits) -> bool:
    if sum(map(str.isalpha, instruction)) < _LEAST_LETTERS and instruction.isascii():
        return False
    return probability_of(language, instruction, LANGUAGES) < limits.min_language_probability


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
