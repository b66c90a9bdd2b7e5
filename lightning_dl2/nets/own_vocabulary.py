"""Find the vocabulary that a plain description names: a built-in one, or a class of the user's own.

A class of the user's own, such as words or BPE, has

    Words(**arguments)           its arguments are plain values
    words.arguments              the same arguments, for a checkpoint
    len(words)                   the number of tokens, whose ids are 0..len-1
    words.encode(text) -> ids    raises ValueError for a text that it cannot encode
    words.decode(ids) -> text
    Words.fit(lines) -> words    optional: learns from the lines of a text; without it, Words() is taken

The ids of a text are those of its lines, each with its line end, one after the other.
"""

from collections.abc import Iterable
from typing import Any

from lightning_dl2.common.dotted import find_callable, is_dotted
from lightning_dl2.common.errors import UserError
from lightning_dl2.decoding.vocabulary import Vocabulary


class OwnVocabulary(Vocabulary):
    """Give a vocabulary of the user's own the form of the built-in ones.

    Args:
        path: the dotted path of its class.
        own: the vocabulary.

    Raises:
        UserError: it lacks what this module's docstring lists, or has no token.
    """

    def __init__(self, path: str, own: Any) -> None:
        super().__init__(path)
        self.own = own
        needed = ("arguments", "encode", "decode", "__len__")
        if missing := [name for name in needed if not hasattr(own, name)]:
            raise UserError(f"data.tokens={path}: has no {missing[0]}; allowed: a class with {', '.join(needed)}")
        if not len(own):
            raise UserError(f"data.tokens={path}: has no tokens; allowed: a vocabulary of one token or more")

    @property
    def unit(self) -> str:
        return "bits_per_token"

    @property
    def noun(self) -> str:
        return "tokens"

    @property
    def plain(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "arguments": dict(self.own.arguments)}

    def __len__(self) -> int:
        return len(self.own)

    def encode(self, text: str, unknown: str = "error") -> list[int]:
        """Encode a text into ids; with `unknown` "skip" or "nearest", a text that cannot be encoded gives none."""
        try:
            ids = [int(number) for number in self.own.encode(text)]
        except (KeyError, ValueError) as error:
            if unknown != "error":
                return []
            raise ValueError(f"{self.tokens} cannot encode it ({type(error).__name__}: {error})") from error
        if ids and not 0 <= min(ids) <= max(ids) < len(self):
            raise ValueError(f"{self.tokens} encodes it as ids {min(ids)} to {max(ids)}, but has {len(self)} tokens")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        return str(self.own.decode(list(ids)))

    def decoder(self) -> "OwnDecoder":  # type: ignore[override]  # callable and with flush, too
        return OwnDecoder(self)


class OwnDecoder:
    """Turn a stream of ids into text by decoding all ids so far: what a token adds may depend on those before."""

    def __init__(self, vocabulary: OwnVocabulary) -> None:
        self.vocabulary, self.ids, self.told = vocabulary, list[int](), ""

    def __call__(self, number: int) -> str:
        """Return the text that this id adds; "" while the end is incomplete, or changes what came before."""
        self.ids.append(number)
        text = self.vocabulary.decode(self.ids)
        return "" if text.endswith("\ufffd") else self._tell(text)

    def flush(self) -> str:
        """Return the rest at the end."""
        return self._tell(self.vocabulary.decode(self.ids))

    def _tell(self, text: str) -> str:
        if not text.startswith(self.told):
            return ""
        new, self.told = text[len(self.told) :], text
        return new


def build_vocabulary(plain: dict[str, Any]) -> Vocabulary:
    """Build the vocabulary of which `plain` is the description.

    Raises:
        UserError: the class cannot be imported, or does not take the arguments.
    """
    path = plain["tokens"]
    if not is_dotted(path):
        return Vocabulary.of(plain)
    return OwnVocabulary(path, _call(path, find_vocabulary(path), **plain["arguments"]))


def fit_vocabulary(path: str, lines: Iterable[str]) -> OwnVocabulary:
    """Let a class of the user's own learn its tokens from a text; take it as it is if it has no `fit`.

    Raises:
        UserError: it cannot be imported or fails, or its arguments do not give the same vocabulary again.
    """
    kind = find_vocabulary(path)
    own = OwnVocabulary(path, _call(path, kind.fit, lines) if hasattr(kind, "fit") else _call(path, kind))
    again = build_vocabulary(own.plain)
    if len(again) != len(own) or again.plain != own.plain:
        raise UserError(f"data.tokens={path}: its arguments give other tokens; fix: return all in arguments")
    return own


def find_vocabulary(path: str) -> Any:
    """Import the class of a vocabulary; raise UserError if that is impossible."""
    try:
        return find_callable(path)
    except UserError as error:
        raise UserError(f"data.tokens={path}: {error}") from error


def _call(path: str, function: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"data.tokens={path}: fails: {type(error).__name__}: {error}; fix: correct it there") from error
