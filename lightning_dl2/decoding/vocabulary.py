"""What stands for a token: the Unicode characters of a text, or the 256 bytes of UTF-8."""

import codecs
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

# Any member may stand for any other: books have the typographic ones, keyboards the plain ones.
ALIKE = ("'’‘‚‛′`´", '"”“„‟″«»', "-–—‒―‐‑−", " \t\u00a0")


class Vocabulary:
    """The tokens and their ids, 0..len-1. Characters are sorted by code point; byte b has the id b.

    Args:
        tokens: "characters" or "bytes".
        characters: the characters there are, in any order; of no meaning for bytes.
    """

    def __init__(self, tokens: str, characters: str = "") -> None:
        self.tokens = tokens
        self.characters = "".join(sorted(set(characters))) if tokens == "characters" else ""
        self.ids = {character: number for number, character in enumerate(self.characters)}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Vocabulary":
        """The vocabulary whose `plain` this is."""
        return cls(plain["tokens"], plain["characters"])

    @property
    def plain(self) -> dict[str, str]:
        """Plain values, for a checkpoint."""
        return {"tokens": self.tokens, "characters": self.characters}

    @property
    def unit(self) -> str:
        """Name the metric that counts bits a token: bits a character and bits a byte are not to be compared."""
        return {"characters": "bpc", "bytes": "bits_per_byte"}[self.tokens]

    def __len__(self) -> int:
        return 256 if self.tokens == "bytes" else len(self.characters)

    def encode(self, text: str, unknown: str = "error") -> list[int]:
        """The ids of a text.

        Args:
            text: may hold lone surrogates, as words of a command line do that are no UTF-8.
            unknown: what becomes of a character that the vocabulary lacks: "error", "skip" drops it, "nearest" takes
                what looks most like it. No byte is unknown.

        Raises:
            ValueError: the text has unknown characters, and they are neither skipped nor like any known one.
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
        missing = sorted(set(text) - self.ids.keys())
        if missing:
            named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in missing[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            shown = repr(self.characters[:120]) + ("..." if len(self) > 120 else "")
            raise ValueError(f"the vocabulary lacks {named}{more}; allowed: the {len(self)} characters {shown}")
        return [self.ids[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are no UTF-8 become U+FFFD."""
        if self.tokens == "bytes":
            return bytes(ids).decode("utf-8", "replace")
        return "".join([self.characters[number] for number in ids])

    def decoder(self) -> "Decoder":
        """Decodes one id after the other."""
        return Decoder(self)

    def _nearest(self, character: str) -> str:
        """What stands for `character`; itself if nothing does."""
        if character in self.ids:
            return character
        for candidate in _candidates(character):
            if candidate and self.ids.keys() >= set(candidate):
                return candidate
        return "" if unicodedata.combining(character) else character


def _utf8(character: str) -> bytes:
    """Its bytes; of a byte that was no UTF-8 where the text came from, that byte."""
    escaped = "\udc80" <= character <= "\udcff"
    return character.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


def _candidates(character: str) -> Iterator[str]:
    """What may stand for `character`, the nearest first: other forms, no accents, a mark alike, the other case."""
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
    """Turns a stream of ids into text; together the parts and `flush` are what `Vocabulary.decode` gives."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.utf8 = codecs.getincrementaldecoder("utf-8")("replace") if vocabulary.tokens == "bytes" else None

    def __call__(self, number: int) -> str:
        """The text that is complete with this id: "" in the middle of a character of several bytes."""
        return self.utf8.decode(bytes([number])) if self.utf8 else self.vocabulary.characters[number]

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character cut short, else ""."""
        return self.utf8.decode(b"", final=True) if self.utf8 else ""
