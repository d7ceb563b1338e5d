"""Prompts as token ids: our control tokens act, those in data never do, and borders leave no seam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longstream.errors import InvalidInput
from longstream.llm.tokens import TokenEncoder, encode_prompt
from longstream.llm.types import Part, Prompt
from longstream.template import render
from tests.support.tinymodel import ADDED_WORD, CONTROL_TOKENS, make_tiny_llama

STEERING = [*CONTROL_TOKENS, ADDED_WORD]
texts = st.lists(st.one_of(st.sampled_from(STEERING), st.text(max_size=8)), max_size=6).map("".join)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = make_tiny_llama(tmp_path_factory.mktemp("tokens") / "tiny")
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> TokenEncoder:
    return TokenEncoder(tokenizer)


def steering_ids(tokenizer: Any) -> set[int]:
    return {tokenizer.convert_tokens_to_ids(token) for token in STEERING}


def without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


@given(text=texts)
def test_data_never_becomes_a_control_token(encoder: TokenEncoder, tokenizer: Any, text: str) -> None:
    ids = encoder.data(text)
    assert steering_ids(tokenizer).isdisjoint(ids)
    assert tokenizer.decode(ids, skip_special_tokens=False) == without_surrogates(text)


@given(text=texts)
def test_data_in_a_prompt_never_becomes_a_control_token(
    encoder: TokenEncoder, tokenizer: Any, text: str
) -> None:
    ids = encoder.prompt(Prompt((Part("<|user|>"), Part(text, data=True), Part("<|assistant|>"))))
    steering = [token for token in ids if token in steering_ids(tokenizer)]
    assert tokenizer.convert_ids_to_tokens(steering) == ["<s>", "<|user|>", "<|assistant|>"]


def test_plain_text_is_encoded_as_the_tokenizer_does_it(encoder: TokenEncoder, tokenizer: Any) -> None:
    text = "Explain how the gardener keeps the roses alive."
    parts = (Part("Explain how the gar"), Part("dener keeps", data=True), Part(" the roses alive."))
    assert encoder.prompt(Prompt(parts)) == tokenizer(text)["input_ids"]


def test_our_control_tokens_are_the_tokenizers_own(encoder: TokenEncoder, tokenizer: Any) -> None:
    text = "<|user|>Which is better?</s><|assistant|>"
    assert encoder.prompt(Prompt((Part(text),))) == tokenizer(text)["input_ids"]


def test_bos_leads_once(encoder: TokenEncoder, tokenizer: Any) -> None:
    bos = tokenizer.bos_token_id
    assert encoder.prompt(Prompt((Part("river"),)))[0] == bos
    assert encoder.prompt(Prompt((Part("<s>river"),))).count(bos) == 1
    assert encoder.prompt(Prompt((Part("<s>river", data=True),)))[0] == bos


@pytest.mark.parametrize("template", ["eoi", "sections"])
@given(instruction=texts, given_input=texts, response=texts)
def test_prompt_and_continuation_cover_the_whole(
    tokenizer: Any, template: str, instruction: str, given_input: str, response: str
) -> None:
    prompt = render(template, instruction, given_input)
    ids, continuation = TokenEncoder(tokenizer).continued(prompt, response)
    assert ids == encode_prompt(tokenizer, prompt)
    assert tokenizer.decode(continuation) == without_surrogates(response)


def test_a_continuation_keeps_the_prompts_tokens_where_a_token_would_straddle(tokenizer: Any) -> None:
    encoder = TokenEncoder(tokenizer)
    prompt = Prompt((Part("Explain how the gard"),))
    assert encoder.prompt(prompt) != tokenizer("Explain how the gardener")["input_ids"][:-1]
    ids, continuation = encoder.continued(prompt, "ener")
    assert ids == encoder.prompt(prompt)
    assert continuation == encoder.data("ener")


def spaced_tokenizer() -> Any:
    """Like SentencePiece: text that is encoded alone gets a space before it.

    "</s>" is in the vocabulary with the best score of all: the model itself would choose it for the letters.
    """
    letters = [(chr(code), -5.0) for code in range(33, 127)]
    vocabulary = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0), *letters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in ("<s>", "</s>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def test_a_vocabulary_that_would_choose_a_control_token_by_itself_is_kept_from_it() -> None:
    tokenizer = spaced_tokenizer()
    assert tokenizer("a</s>", split_special_tokens=True)["input_ids"][-1] == tokenizer.eos_token_id
    ids = TokenEncoder(tokenizer).data("a</s>b")
    assert tokenizer.eos_token_id not in ids
    assert str(tokenizer.decode(ids)).replace(" ", "") == "a</s>b"


def test_letters_outside_the_vocabulary_stay_unknown_tokens() -> None:
    tokenizer = spaced_tokenizer()
    assert tokenizer.unk_token_id in TokenEncoder(tokenizer).data("é")


def test_a_border_between_parts_leaves_no_space() -> None:
    tokenizer = spaced_tokenizer()
    parts = (Part("ab"), Part("cd", data=True), Part("ef"))
    assert TokenEncoder(tokenizer).prompt(Prompt(parts)) == tokenizer("abcdef")["input_ids"]
    assert TokenEncoder(tokenizer).continued(Prompt(parts[:1]), "cd")[1] == tokenizer.convert_tokens_to_ids(
        ["c", "d"]
    )


def test_a_control_token_that_eats_space_eats_it_here_too(tmp_path: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(make_tiny_llama(tmp_path / "tiny"))
    tokenizer.add_tokens([AddedToken("<turn>", lstrip=True, rstrip=True, special=True)], special_tokens=True)
    text = "river <turn> mill <turn><turn>\n"
    assert TokenEncoder(tokenizer).prompt(Prompt((Part(text),))) == tokenizer(text)["input_ids"]


def test_many_control_words_in_data_cost_time_in_proportion(encoder: TokenEncoder) -> None:
    hostile = (ADDED_WORD + "</s>") * 20_000
    assert len(encoder.data(hostile)) > 20_000


def test_a_tokenizer_that_is_not_fast_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InvalidInput, match="fast tokenizer"):
        TokenEncoder(Slow())  # type: ignore[arg-type]
