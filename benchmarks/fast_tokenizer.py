"""A SentencePiece BPE model as Hugging Face's fast tokenizer, as those who count with it have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, normalizers


def fast_tokenizer(path: Path) -> Tokenizer:
    """The same tokens for the same text. path: a model with byte fallback that changes nothing but spaces."""
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    model.ParseFromString(path.read_bytes())
    rank = {piece.piece: place for place, piece in enumerate(model.pieces)}
    # Joined in the order of their scores, as there; places in the vocabulary may be others.
    joined = [
        (-one.score, rank[left], left, right)
        for one in model.pieces
        for left, right in ((one.piece[:cut], one.piece[cut:]) for cut in range(1, len(one.piece)))
        if left in rank and right in rank
    ]
    merges = [(left, right) for _, _, left, right in sorted(joined)]
    tokenizer = Tokenizer(
        models.BPE(vocab=rank, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer
