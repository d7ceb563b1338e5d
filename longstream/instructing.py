"""The pipeline file's sections `instruct` and `refine`: what is written for what was selected."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from longstream.selecting import Profile, Section

Style = Literal["instruction", "chatbot", "query"]


def _paper_shares() -> dict[Style, float]:
    return {"instruction": 0.5, "chatbot": 0.3, "query": 0.2}


class Lengths(Section):
    """What an instruction may say about how long its answer is .

    LongForm (arXiv 2304.08460) lets 31.7 % of its reverse instructions tell it; how it divides them is not published.
    """

    share: float = Field(default=0.317, ge=0, le=1)
    """Of all instructions, those that tell it."""
    exact: float = Field(default=0.75, ge=0, le=1)
    """Of these, those that give a number of sentences or words; the others say brief or detailed, where it is so."""
    before: float = Field(default=0.3, ge=0, le=1)
    """Of these, those that say it before the instruction, not after it."""


class Instruct(Section):
    """How documents get their instructions (LongForm, arXiv 2304.08460, section 2)."""

    styles: dict[Style, float] = Field(default_factory=_paper_shares)
    """Share of each request style, drawn per document by seed."""
    candidates: Literal["drawn", "all"] = "drawn"
    """Ask in the style that was drawn; or in all of them, and take another one where the drawn one is refused."""
    tries: int | None = Field(default=None, ge=1, le=10)
    """Times that a document is asked about, each with another seed, until an instruction is accepted.

    As it stands: 1 in profile `paper`, 3 in `production`.
    """
    language: Literal["document", "any", "en", "de", "es", "fr", "ru"] = "document"
    """Of the request: the document's own where it has a wording here, else English that asks for the document's."""
    lengths: Lengths = Lengths()
    min_score: int | None = Field(default=None, ge=0, le=5)
    """How well instruction and document must fit, from 1 to 5 as the model says; 0 does not ask it.

    As it stands: 0 in profile `paper`, 4 in `production`.
    """
    seed: int = Field(default=0, ge=0)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_tokens: int = Field(default=96, ge=1, le=4_096)
    limits: dict[str, float] = Field(default_factory=dict)
    """Overrides of the instructor's acceptance limits, by name."""

    def on(self, profile: Profile) -> Instruct:
        """With everything said that the profile decides."""
        tries, min_score = (1, 0) if profile == "paper" else (3, 4)
        said = {
            "tries": tries if self.tries is None else self.tries,
            "min_score": min_score if self.min_score is None else self.min_score,
        }
        return self.model_copy(update=said)


class Refine(Section):
    """How answers are criticised and written anew (arXiv 2402.04833, its introspective refinement).

    What a gate refuses stays as it came, and its row says why.
    """

    method: Literal["introspection", "rewrite"] = "introspection"
    """A critique and then a better answer; or a document turned into an answer to its instruction."""
    of: Literal["all", "pairs", "documents"] = "all"
    """Which are refined: what came with its instruction, what got one here, or both."""
    train_on: bool | None = None
    """Whether the new text becomes the response, and the old one stands beside it as `original`; else the new one
    stands beside, as `rewritten`. As it stands: after introspection yes, after a rewrite no."""
    tries: int = Field(default=1, ge=1, le=10)
    max_tokens: int = Field(default=2_048, ge=16, le=32_768)
    """Of critique and new answer together."""
    budget_tokens: int = Field(default=16_384, ge=64)
    """Of prompts and replies of one item, over all its tries."""
    seed: int = Field(default=0, ge=0)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    limits: dict[str, float] = Field(default_factory=dict)
    """Overrides of the gates' limits, by name."""

    @property
    def as_response(self) -> bool:
        """Whether the new text is what is trained on."""
        return self.method == "introspection" if self.train_on is None else self.train_on
