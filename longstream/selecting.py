"""The pipeline file's section `select`: which examples a release holds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Profile = Literal["paper", "production"]
"""What is on where a file does not say: nothing that the papers do not have, or what one would want for a product."""


class Section(BaseModel):
    """A part of the pipeline file: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ALL_ROWS = 1_000_000_000
"""What `k: all` counts as: more rows than a release can hold."""
OTHERS = "(others)"
"""The stratum of what belongs to none that is named."""


class Strata(Section):
    """Parts of the stream that are ranked apart, and what each may take of a release."""

    by: str = Field(default="source", pattern=r"^(source|licence|provenance\..+)$")
    """The field that tells the parts."""
    names: tuple[str, ...] = Field(default=(), max_length=100)
    """The parts; every other value belongs to (others). Empty: those of `of`, else the pipeline's sources."""
    share: Literal["equal", "proportional", "weights", "quota"] = "equal"
    """Equal parts, parts as large as the stream's, parts by weight, or one ranking with a limit for each part."""
    of: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """By part: its weight (one that is not named has none), or the most rows it may have (not named: no limit)."""

    @model_validator(mode="after")
    def _shares_are_told(self) -> Strata:
        if (self.share in {"weights", "quota"}) != bool(self.of):
            raise ValueError(
                "`of` names the weights or quotas, and belongs to `share: weights` and `share: quota`"
            )
        if self.share == "weights" and not sum(self.of.values()):
            raise ValueError("at least one weight must be above 0")
        if self.share == "quota" and not all(most.is_integer() for most in self.of.values()):
            raise ValueError("a quota is a whole number of rows")
        unknown = set(self.of) - {*self.names, OTHERS} if self.names else ()
        if unknown:
            raise ValueError(f"`of` tells of {', '.join(sorted(unknown))}, which `names` does not list")
        return self

    def parts(self, sources: tuple[str, ...]) -> tuple[str, ...]:
        """The names of all parts but (others)."""
        named = tuple(name for name in self.of if name != OTHERS)
        return self.names or named or (sources if self.by == "source" else ())


MAX_WINDOW_BUCKETS = 400
"""Of a window by time; each holds a kept set of its own."""


class Window(Section):
    """The newest part of the stream, from which releases are chosen; it moves by whole buckets of time."""

    last_s: float | None = Field(default=None, gt=0)
    """What came within this long before the cut."""
    last_rows: int | None = Field(default=None, ge=1)
    """The newest examples, so many."""
    bucket_s: float = Field(default=86_400, ge=0.001)
    """Width of a bucket: each holds the k longest of its time, so narrow ones cost memory."""
    time: Literal["arrival", "event"] = "arrival"
    """When an example came, or its own time where its sender told it, which is never later."""

    @model_validator(mode="after")
    def _one_end(self) -> Window:
        if (self.last_s is None) == (self.last_rows is None):
            raise ValueError("give either last_s or last_rows")
        if self.last_s is not None and self.last_s / self.bucket_s > MAX_WINDOW_BUCKETS:
            raise ValueError(f"a window has at most {MAX_WINDOW_BUCKETS} buckets; make bucket_s larger")
        return self


def _any_that_is_stated() -> dict[str, tuple[str, ...]]:
    return {"*": ("?*",)}


class Screens(Section):
    """What keeps a text out that is long enough. Each is on in profile `production` and off in `paper`, or as said."""

    trivial: bool | None = None
    """A response without a letter or digit, or equal to its instruction or input."""
    repetition: bool | None = None
    """Text that is long because it repeats itself: lines, and runs of 2 to 10 words."""
    markup: bool | None = None
    """Debris of pages: tags, entities, templates, scripts."""
    refusal: bool | None = None
    """An answer that begins by declining."""
    language: bool | None = None
    """Another language than `languages`; passes everything while none are named."""
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2}$")], ...] = ()
    """ISO 639-1 codes, as en, de, zh."""
    pii: bool | None = None
    """More than `most_pii` addresses, numbers of telephones, accounts and cards, or network addresses."""
    most_pii: int = Field(default=5, ge=0)
    licence: bool | None = None
    """A licence that `licences` does not accept."""
    licences: dict[str, tuple[str, ...]] = Field(default_factory=_any_that_is_stated)
    """By source, * for the others: patterns of licences, of which one must fit. As it stands: any that is stated."""
    contamination: bool | None = None
    """A run of `ngram` words in common with an evaluation prompt or a text of `against`."""
    ngram: int = Field(default=12, ge=2, le=100)
    against: tuple[str, ...] = ()
    """Paths of texts to keep out, as .txt, .json, .jsonl or .parquet, each with .gz or .zst where it is JSON."""

    def on(self, profile: Profile) -> tuple[str, ...]:
        """The names of those that are on."""
        said = {name: getattr(self, name) for name in SCREENS}
        return tuple(name for name, on in said.items() if on or (on is None and profile == "production"))


SCREENS = ("licence", "trivial", "refusal", "markup", "repetition", "pii", "language", "contamination")
"""In the order in which they look at a text: the cheapest first."""


class NearDuplicates(Section):
    """Of texts that are nearly equal the best-ranked stays, settled at the cut among what could be selected."""

    jaccard: float = Field(default=0.8, ge=0.5, le=1)
    """From this share of common word runs on they count as nearly equal."""
    words: int = Field(default=5, ge=1, le=20)
    """Words in a run."""


class Select(Section):
    """Which examples a release holds: the k longest responses (arXiv 2402.04833)."""

    metric: Literal["nltk-words", "chars", "bytes", "words", "tokens"] = "nltk-words"
    """What length means; nltk-words is the paper's."""
    tokenizer: str = ""
    """Path of a tokenizer.json or a SentencePiece model, for metric tokens only."""
    by: Literal["length", "random", "score"] = "length"
    """What is ranked by. The paper's baselines: a uniform draw; a score, with a draw among equals."""
    score: str = "score"
    """Key of the provenance that holds the score, for `by: score`."""
    seed: int = Field(default=0, ge=0)
    """Of the draws that `by: random` and `by: score` make."""
    k: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["all"] = 1_000
    """Rows in a release at most; all keeps the whole stream in the curators' memory."""
    reserve: int = Field(default=100, ge=0, le=1_000_000)
    """Ranks kept beyond k, to stand in for refused rows."""
    max_length: int | None = Field(default=None, ge=1)
    """Longer responses are left out, so that training cuts none; in the metric's units."""
    dedup: Literal["response", "pair", "off"] = "off"
    """Which exact duplicates count once; the paper removes none."""
    strata: Strata | None = None
    """Parts that are ranked apart; none: one ranking of all."""
    window: Window | None = None
    """The newest part of the stream; none: all of it."""
    screens: Screens = Field(default_factory=Screens)
    """What keeps a long text out."""
    near_duplicates: NearDuplicates | None = None
    """Whether what is nearly equal counts once; the paper removes none."""

    @property
    def rows(self) -> int:
        """k as a number."""
        return ALL_ROWS if self.k == "all" else self.k

    @property
    def places(self) -> int:
        """Ranks to be kept: k and the reserve together."""
        return self.rows + self.reserve
