"""Models for sentences: pooled as their files say, whatever else is in the batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from longstream.errors import InvalidInput
from longstream.llm.sentences import SentenceEncoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "mill", "river", "stands", "by", "old"]
TEXTS = ["the old mill", "the mill stands by the old river", "river"]


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def with_parts(bert: Path, folder: Path, pooling: dict[str, Any], *others: str, **told: Any) -> Path:
    """The same model with other files around it."""
    for file in bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    kinds = ["Transformer", "Pooling", *others]
    parts = [
        {"idx": n, "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if told:
        (folder / "sentence_bert_config.json").write_text(json.dumps(told))
    return folder


def alone(bert: Path, text: str) -> torch.Tensor:
    """The hidden states of one text, (tokens, d), with nothing padded."""
    inputs = AutoTokenizer.from_pretrained(bert)(text, return_tensors="pt")
    with torch.inference_mode():
        states: torch.Tensor = AutoModel.from_pretrained(bert)(**inputs).last_hidden_state[0]
        return states


@pytest.mark.parametrize(
    ("pooling", "of"),
    [
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
            lambda states: states.mean(dim=0),
        ),
        ({"pooling_mode_cls_token": True}, lambda states: states[0]),
        ({"pooling_mode_max_tokens": True}, lambda states: states.amax(dim=0)),
        ({"pooling_mode": "mean"}, lambda states: states.mean(dim=0)),
    ],
)
def test_a_text_has_the_vector_that_it_has_alone(
    bert: Path, tmp_path: Path, pooling: dict[str, Any], of: Any
) -> None:
    encoder = SentenceEncoder(str(with_parts(bert, tmp_path, pooling, "Normalize")))
    for text, vector in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        assert np.allclose(vector, of(alone(bert, text)).numpy(), atol=1e-5)
    assert encoder.name.startswith(f"{tmp_path.name}@")


def test_what_is_longer_than_the_window_is_told_by_its_beginning(bert: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(str(with_parts(bert, tmp_path, {"pooling_mode": "mean"}, max_seq_length=5)))
    long, short = encoder.encode(["the old mill stands by the river", "the old mill"])
    assert np.allclose(long, short, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "others", "told"),
    [
        ({"pooling_mode": "mean"}, ["Dense"], "Dense"),
        ({"pooling_mode": "lasttoken"}, [], "lasttoken"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, [], "cls"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": True}, [], "lasttoken"),
        ({}, [], "nothing known"),
    ],
)
def test_what_is_not_supported_is_told(
    bert: Path, tmp_path: Path, pooling: dict[str, Any], others: list[str], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        SentenceEncoder(str(with_parts(bert, tmp_path, pooling, *others)))


def test_a_model_that_wants_lower_case_from_others_is_told(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="lower case"):
        SentenceEncoder(str(with_parts(bert, tmp_path, {"pooling_mode": "mean"}, do_lower_case=True)))


def test_a_folder_without_the_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"modules\.json"):
        SentenceEncoder(str(tmp_path))
    (tmp_path / "modules.json").write_text('[{"idx": 0}]')
    with pytest.raises(InvalidInput, match="by type and path"):
        SentenceEncoder(str(tmp_path))
    (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(InvalidInput, match="Pooling"):
        SentenceEncoder(str(tmp_path))
