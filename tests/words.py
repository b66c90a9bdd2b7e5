"""Vocabularies as users write them: words, one of fixed symbols, and broken ones."""

import re


class Words:
    """Words, spaces and marks, learnt from a text."""

    def __init__(self, words):
        self.words = words

    @classmethod
    def fit(cls, lines):
        return cls(sorted({word for line in lines for word in cls.split(line)}))

    @staticmethod
    def split(text):
        return re.findall(r"\w+|\s|[^\w\s]", text)

    @property
    def arguments(self):
        return {"words": self.words}

    def __len__(self):
        return len(self.words)

    def encode(self, text):
        return [self.words.index(word) for word in self.split(text)]

    def decode(self, ids):
        return "".join(self.words[number] for number in ids)


class Pairs:
    """Two ids a byte; decoded text is incomplete after each first one, and within a character."""

    arguments: dict = {}

    def __len__(self):
        return 16

    def encode(self, text):
        return [number for byte in text.encode() for number in divmod(byte, 16)]

    def decode(self, ids):
        ids = list(ids)
        pairs = zip(ids[::2], ids[1::2], strict=False)
        return bytes(16 * high + low for high, low in pairs).decode("utf-8", "replace")


class Forgetful(Words):
    """Lack the arguments that would build it again."""

    def __init__(self, words=("a",)):
        super().__init__(list(words))

    arguments: dict = {}


class OutOfRange(Pairs):
    """Use ids beyond the last one."""

    def __len__(self):
        return 4


class NoDecode:
    """Lack a method."""

    arguments: dict = {}

    def __len__(self):
        return 1

    def encode(self, text):
        return [0]


class Fails(Words):
    """Raise while it learns."""

    @classmethod
    def fit(cls, lines):
        return cls([word for line in lines for word in line[99]])
