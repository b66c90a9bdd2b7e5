"""Encode and decode text: tokens are its Unicode characters, or the 256 bytes of UTF-8."""

import codecs
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

# Each character may replace the others of its group: books have the typographic ones, keyboards the plain ones.
ALIKE = ("'’‘‚‛′`´", '"”“„‟″«»', "-–—‒―‐‑−", " \t\u00a0")
NOT_COUNTED = -100  # in place of the target of a token whose prediction does not count: torch's ignore_index


class Vocabulary:
    """Tokens and their ids, 0..len-1. Characters are sorted by code point; byte b has the id b.

    Args:
        tokens: "characters" or "bytes".
        characters: all characters, in any order; ignored for bytes.
    """

    def __init__(self, tokens: str, characters: str = "") -> None:
        self.tokens = tokens
        self.characters = "".join(sorted(set(characters))) if tokens == "characters" else ""
        self.ids = {character: number for number, character in enumerate(self.characters)}

    @property
    def noun(self) -> str:
        """Name the tokens in a message."""
        return self.tokens

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Vocabulary":
        """Build the vocabulary of which `plain` is the description."""
        return cls(plain["tokens"], plain["characters"])

    @property
    def plain(self) -> dict[str, str]:
        """Describe it in plain values, for a checkpoint."""
        return {"tokens": self.tokens, "characters": self.characters}

    @property
    def unit(self) -> str:
        """Name the metric that counts bits a token: bits a character and bits a byte are not to be compared."""
        return {"characters": "bpc", "bytes": "bits_per_byte"}[self.tokens]

    def __len__(self) -> int:
        return 256 if self.tokens == "bytes" else len(self.characters)

    def encode(self, text: str, unknown: str = "error") -> list[int]:
        """Encode a text into ids.

        Args:
            text: may have lone surrogates, as command-line words that are no UTF-8 have.
            unknown: for a character outside of the vocabulary: "error", "skip" drops it, "nearest" takes the most
                similar one. No byte is unknown.

        Raises:
            ValueError: the text has unknown characters that are neither skipped nor similar to a known one.
        """
        if self.tokens == "bytes":
            return list(b"".join(map(_utf8, text)))
        if "\r" not in self.ids:  # as texts are read
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if unknown == "skip":
            return [self.ids[character] for character in text if character in self.ids]
        if unknown == "nearest":
            if any(unicodedata.combining(character) and character not in self.ids for character in text):
                text = unicodedata.normalize("NFC", text)  # a letter and its accent may be one known character
            text = "".join(map(self._nearest, text))
        if missing := sorted(set(text) - self.ids.keys()):
            named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in missing[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            shown = repr(self.characters[:120]) + ("..." if len(self) > 120 else "")
            raise ValueError(f"the vocabulary lacks {named}{more}; allowed: the {len(self)} characters {shown}")
        return [self.ids[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """Decode ids into a text; bytes that are no UTF-8 become U+FFFD."""
        if self.tokens == "bytes":
            return bytes(ids).decode("utf-8", "replace")
        return "".join([self.characters[number] for number in ids])

    def decoder(self) -> "Decoder":
        """Return a decoder for one id after the other."""
        return Decoder(self)

    def _nearest(self, character: str) -> str:
        """Return the nearest known text for `character`, else the character itself."""
        if character in self.ids:
            return character
        for candidate in _candidates(character):
            if candidate and self.ids.keys() >= set(candidate):
                return candidate
        return "" if unicodedata.combining(character) else character


def _utf8(character: str) -> bytes:
    """Encode a character; a surrogate that escapes a byte that was no UTF-8 gives that byte."""
    escaped = "\udc80" <= character <= "\udcff"
    return character.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


def _candidates(character: str) -> Iterator[str]:
    """Yield replacements of `character`, the nearest first: other forms, no accents, a similar mark, the other case."""
    composed = unicodedata.normalize("NFKC", character)
    decomposed = unicodedata.normalize("NFKD", character)
    bare = "".join(part for part in decomposed if not unicodedata.combining(part))
    forms = [composed, bare]
    for group in ALIKE:
        if character in group or composed in group:
            forms += group
    yield from forms
    for form in forms:
        yield from (form.lower(), form.upper(), form.casefold())


class Decoder:
    """Turn a stream of ids into text; the parts and `flush` together equal `Vocabulary.decode`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.utf8 = codecs.getincrementaldecoder("utf-8")("replace") if vocabulary.tokens == "bytes" else None

    def __call__(self, number: int) -> str:
        """Return the text that this id completes: "" within a character of several bytes."""
        return self.utf8.decode(bytes([number])) if self.utf8 else self.vocabulary.characters[number]

    def flush(self) -> str:
        """Return the rest at the end: U+FFFD for an incomplete character, else ""."""
        return self.utf8.decode(b"", final=True) if self.utf8 else ""
