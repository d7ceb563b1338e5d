"""The model card: what a fine-tuned model is made of, for people, beside the weights."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from longstream.template import revision
from longstream_trainer.data import Row
from longstream_trainer.examples import Examples
from longstream_trainer.job import Job
from longstream_trainer.report import Done, Step

_POINTS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What is known at the end of a run."""

    job: Job
    rows: Sequence[Row]
    examples: Examples
    done: Done
    precision: str
    log: Sequence[Step] = ()


def model_card(facts: CardFacts) -> str:
    """The card in Markdown, with the front matter that model hubs read."""
    sections = [_front(facts), _origin(facts), _data(facts), _recipe(facts), _results(facts), _limits(facts)]
    return "\n\n".join(sections) + "\n"


def _front(facts: CardFacts) -> str:
    lora = facts.job.recipe.writes_adapter
    lines = [
        "---",
        f"base_model: {json.dumps(facts.job.base_model)}",
        f"library_name: {'peft' if lora else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags: [longstream, neftune]",
        "---",
        "",
        f"# {'LoRA adapter' if lora else 'Model'} fine-tuned on release {_parent(facts, 'release')}",
    ]
    return "\n".join(lines)


def _origin(facts: CardFacts) -> str:
    rows = [
        ("Base model", f"{facts.job.base_model}, revision `{facts.done.base_revision}`"),
        ("Pipeline", _parent(facts, "pipeline")),
        ("Release", _parent(facts, "release")),
        ("Content hash of the release", f"`{_parent(facts, 'content_hash')}`"),
    ]
    named = {"base_revision", "pipeline", "release", "content_hash"}
    rows += [(key, value) for key, value in sorted(facts.job.parents.items()) if key not in named]
    return "## What it comes from\n\n" + _table(("", ""), rows)


def _data(facts: CardFacts) -> str:
    used = {example.row_id for example in facts.examples.train}
    counts = Counter((row.licence, row.source) for row in facts.rows if row.row_id in used)
    rows = [
        (licence or "not stated", source, str(count)) for (licence, source), count in sorted(counts.items())
    ]
    dropped = ", ".join(f"{count} for {reason}" for reason, count in sorted(facts.examples.dropped.items()))
    text = (
        f"{len(facts.examples.train)} training examples with {facts.examples.response_tokens} response "
        f"tokens (loss) and {facts.examples.prompt_tokens} prompt tokens (no loss); "
        f"{len(facts.examples.heldout)} held out. Rows left out: {dropped or 'none'}. Nothing was cut. The "
        "model is bound by the licences of its base and of these texts:"
    )
    return "## Data\n\n" + text + "\n\n" + _table(("Licence", "Source", "Rows"), rows)


def _recipe(facts: CardFacts) -> str:
    recipe = facts.job.recipe
    rows = [(key, f"`{json.dumps(value)}`") for key, value in recipe.as_mapping().items()]
    rows.append(("template revision", f"`{revision(recipe.template)}`"))
    rows.append(("computed in", facts.precision))
    return "## Recipe\n\n" + _table(("Key", "Value"), rows) + "\n\n" + _noise(facts)


def _noise(facts: CardFacts) -> str:
    recipe, train = facts.job.recipe, facts.examples.train
    if not recipe.neftune_alpha:
        return "NEFTune noise was off."
    mean = sum(map(len, train)) / len(train)
    if recipe.neftune_padded_to is not None:
        alike = recipe.neftune_alpha * math.sqrt(mean / recipe.neftune_padded_to)
        return (
            f"NEFTune: uniform noise within ±α/√(L·d) on the input embeddings in training, α = {recipe.neftune_alpha:g}"
            f" and L = {recipe.neftune_padded_to} for every example, as where the trainer of transformers pads to so "
            f"many tokens. By an example's own length, {mean:.0f} tokens on average, that acts like α = {alike:.3g}."
        )
    padded = recipe.neftune_alpha * math.sqrt(recipe.max_tokens / mean)
    return (
        "NEFTune: uniform noise within ±α/√(L·d) on the input embeddings in training, L the example's own "
        "number of tokens (prompt and response, no padding), d the width, "
        f"α = {recipe.neftune_alpha:g}. Where L is the padded width instead (as in the trainer of "
        f"transformers), padding to {recipe.max_tokens} needs α = {padded:.3g} for the same noise, since an "
        f"example has {mean:.0f} tokens on average."
    )


def _results(facts: CardFacts) -> str:
    done = facts.done
    rows = [
        ("Optimizer steps", str(done.steps)),
        ("Training loss, last tenth of the steps (nats per token, under noise)", f"{done.loss:.4f}"),
        ("Held-out responses under the base (bits per byte)", _figure(done.base_bits_per_byte)),
        ("Held-out responses under this model (bits per byte)", _figure(done.bits_per_byte)),
        ("Time in steps (s)", f"{done.seconds:.1f}"),
    ]
    return "## Results\n\n" + _table(("", ""), rows) + "\n\n" + _course(facts.log)


def _course(log: Sequence[Step]) -> str:
    """The loss at a tenth of the steps; the whole curve is in the log."""
    told = "Every step is in `training_log.jsonl`."
    if not log:
        return told
    chosen = [log[(len(log) - 1) * part // (_POINTS - 1)] for part in range(min(_POINTS, len(log)))]
    rows = [
        (str(one.step), f"{one.loss:.4f}", f"{one.grad_norm:.3g}", f"{one.learning_rate:.3g}")
        for one in chosen
    ]
    return _table(("Step", "Loss", "Gradient norm", "Learning rate"), rows) + "\n\n" + told


def _limits(facts: CardFacts) -> str:
    template = facts.job.recipe.template
    return (
        "## Limits\n\n"
        f"Ask it in the template `{template}`, the only form it was trained on. It was trained to answer at "
        "length in the manner of the texts above; what it says may be false, and it inherits the faults of "
        "its base and of those texts. Longer answers are not better by themselves: compare models in both "
        "orders and with length in view."
    )


def _parent(facts: CardFacts, name: str) -> str:
    return facts.job.parents.get(name) or "not stated"


def _figure(value: float | None) -> str:
    return "nothing held out" if value is None else f"{value:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
