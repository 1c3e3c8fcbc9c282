"""The text tokenizer: exact round trips, single digits, clear errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_lite.tokenizers.text import TextTokenizer

CORPUS = ["kettle heat 3 water 5 ; turn on kettle", "pot in stove heat 12"] * 5
TOKENIZER = TextTokenizer.train(CORPUS, vocab_size=320)


@given(st.text())
def test_every_string_survives_the_round_trip(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_words_are_one_token_and_numbers_are_digits():
    assert TOKENIZER.tokens("kettle heat 12") == ["kettle", " heat", " 1", "2"]


def test_special_tokens_end_and_pad():
    ids = TOKENIZER.encode("heat 3")
    assert TOKENIZER.decode([0, *ids, 1, *ids]) == "heat 3"
    assert {TOKENIZER.pad_id, TOKENIZER.eos_id}.isdisjoint(ids)


def test_save_and_load_give_the_same_ids(tmp_path):
    TOKENIZER.save(tmp_path / "text.json")
    again = TextTokenizer.load(tmp_path / "text.json")
    assert again.encode(CORPUS[0]) == TOKENIZER.encode(CORPUS[0])
    assert again.vocab_size == TOKENIZER.vocab_size <= 320


@pytest.mark.parametrize("call, message", [
    (lambda: TextTokenizer.train([], 300), "corpus is empty"),
    (lambda: TextTokenizer.train(CORPUS, 100), "at least 258"),
])
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="make checkpoints"):
        TextTokenizer.load(tmp_path / "none.json")
