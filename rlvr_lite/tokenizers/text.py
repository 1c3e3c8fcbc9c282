"""Text tokenizer: states, actions and answers as ids of one byte-pair vocabulary.

What: byte-pair encoding (BPE) trained on the corpus of one world with the Hugging Face
`tokenizers` library, plus the two special tokens a world model needs: `<pad>` (id 0) and
`<eos>` (id 1).
Source: RLVR-World section 4.2, "unified sequence modelling": language is split by BPE.
Differs from the paper: the paper inherits the 150 k vocabulary of a pretrained model; ours is
learned from the world itself and has a few hundred entries. A number is always split into
single digits, so that arithmetic is visible to the model instead of hidden inside a token.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, EOS = "<pad>", "<eos>"

# One piece per word, digit, sign or space; a leading blank belongs to the piece that follows it.
PIECES = r" ?\d| ?[A-Za-z_]+| ?[^\sA-Za-z_\d]|\s"


class TextTokenizer:
    """Byte-level BPE over a small corpus; `decode(encode(s)) == s` for every string."""

    pad_id, eos_id = 0, 1

    def __init__(self, backend: Tokenizer):
        if backend.token_to_id(PAD) != self.pad_id or backend.token_to_id(EOS) != self.eos_id:
            raise ValueError(f"the vocabulary must start with {PAD} and {EOS}; "
                             "train it with TextTokenizer.train(...)")
        backend.encode_special_tokens = True  # "<eos>" in a text is five characters, not a stop
        self.backend = backend

    @classmethod
    def train(cls, corpus: Iterable[str], vocab_size: int = 512,
              pieces: str = PIECES) -> TextTokenizer:
        """Learn the merges from a corpus.

        Args:
            corpus: strings, e.g. questions and answers of the training split.
            vocab_size: upper bound V of the vocabulary, at least 258
                (256 bytes and two special tokens, so that any string can be encoded).
            pieces: regular expression of what is never merged with its neighbours.
        """
        if vocab_size < 258:
            raise ValueError(f"vocab_size must be at least 258 (256 bytes + {PAD} + {EOS}), "
                             f"got {vocab_size}")
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=[PAD, EOS], show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
        backend.train_from_iterator(_not_empty(corpus), trainer)
        return cls(backend)

    @property
    def vocab_size(self) -> int:
        """Size V of the vocabulary."""
        return self.backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Text -> ids; no special token is added, and one written in the text is only text."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Ids -> text up to the first `<eos>`; `<pad>` is left out."""
        kept = []
        for i in ids:
            if i == self.eos_id:
                break
            if i != self.pad_id:
                kept.append(int(i))
        return self.backend.decode(kept, skip_special_tokens=True)

    def tokens(self, text: str) -> list[str]:
        """The pieces of a text as readable strings, for figures and for inspection."""
        return [self.backend.decode([i]) for i in self.encode(text)]

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as one JSON file, atomically."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        self.backend.save(str(temporary))
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | Path) -> TextTokenizer:
        """Read what `save` wrote."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"no tokenizer at {path}: train one with TextTokenizer.train"
                                    " and save it, or run `make checkpoints`")
        return cls(Tokenizer.from_file(str(path)))


def _not_empty(corpus: Iterable[str]) -> Iterator[str]:
    seen = False
    for text in corpus:
        seen = True
        yield text
    if not seen:
        raise ValueError("the corpus is empty: pass the questions and answers to learn from")
