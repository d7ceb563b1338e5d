"""English parameters of the Punkt sentence splitter (Kiss and Strunk 2006), from the text files of NLTK.

NLTK 3.8.1 itself reads the same parameters as a pickle, which runs code when it is read; it is never opened.
"""

from __future__ import annotations

from pathlib import Path

from nltk.tokenize.punkt import PunktParameters

from longstream.errors import InvalidInput, NotFound

PUNKT = Path("tokenizers", "punkt_tab", "english")


class _Contexts(dict[str, int]):
    """Orthographic contexts by word, 0 for unknown ones.

    NLTK's own default dictionary keeps every unknown word that it is asked for and grows with the stream.
    """

    def __missing__(self, word: str) -> int:
        return 0


def punkt_folder(nltk_data: Path | None) -> Path | None:
    """Where the English parameters lie below nltk_data; None without such a folder (Punkt is then untrained).

    Raises NotFound if nltk_data is given and has none: a replica that ranks by another rule must not start.
    """
    if nltk_data is None:
        return None
    folder = nltk_data / PUNKT
    if not folder.is_dir():
        raise NotFound(f"{nltk_data} has no {PUNKT}; leave the folder out to split sentences untrained")
    return folder


def read_punkt(folder: Path | None) -> PunktParameters:
    """The parameters in that folder, or none learnt. Raises InvalidInput for a missing or malformed file."""
    parameters = PunktParameters()
    parameters.ortho_context = _Contexts()
    if folder is None:
        return parameters
    parameters.abbrev_types = set(_lines(folder / "abbrev_types.txt"))
    parameters.sent_starters = set(_lines(folder / "sent_starters.txt"))
    parameters.collocations = {(first, second) for first, second in _pairs(folder / "collocations.tab")}
    for word, flags in _pairs(folder / "ortho_context.tab"):
        if not flags.isdecimal():
            raise InvalidInput(f"{folder / 'ortho_context.tab'}: the context of {word!r} is no number")
        parameters.ortho_context[word] = int(flags)
    return parameters


def _pairs(path: Path) -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in _lines(path)]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != 2), None)
    if wrong is not None:
        raise InvalidInput(f"{path}, line {wrong}: two fields with a tab between them are due")
    return [(first, second) for first, second in rows]


def _lines(path: Path) -> list[str]:
    """Lines as they are: an abbreviation may end in a space."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    return [line for line in text.split("\n") if line]
