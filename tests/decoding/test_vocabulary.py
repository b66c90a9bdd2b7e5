"""Test text to ids and back, for any text and any vocabulary, also one id at a time."""

import pytest

from lightning_dl2.decoding.vocabulary import Vocabulary

TEXTS = [
    "Eén coöperatie, 's avonds.\n",
    "naïve ☕ 👩‍🚀 日本",
    "\\'{e}t\xe9 % \xa3 \x92",
    "\ufeffa\x00\ud800b\udcff",
    "a" * 5,
    "",
]


def streamed(vocabulary: Vocabulary, ids: list[int]) -> list[str]:
    decoder = vocabulary.decoder()
    return [*map(decoder, ids), decoder.flush()]


@pytest.mark.parametrize("text", TEXTS)
def test_characters_round_trip(text):
    vocabulary = Vocabulary("characters", text)
    ids = vocabulary.encode(text)
    assert len(ids) == len(text) and len(vocabulary) == len(set(text))
    assert vocabulary.decode(ids) == text == "".join(streamed(vocabulary, ids))
    assert Vocabulary.of(vocabulary.plain).encode(text) == ids


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_know_every_text(text):
    vocabulary = Vocabulary.of(Vocabulary("bytes").plain)
    ids = vocabulary.encode(text)
    expected = text.replace("\udcff", "").encode("utf-8", "surrogatepass") + b"\xff" * text.count("\udcff")
    assert len(vocabulary) == 256 and ids == list(expected)
    if "\ud800" not in text:  # lone surrogates are no UTF-8 and become replacement characters
        assert vocabulary.decode(ids) == text
    assert "".join(streamed(vocabulary, ids)) == vocabulary.decode(ids)


def test_a_byte_that_is_no_utf8_stays_that_byte():
    """Undecodable bytes of a command line or standard input survive, so a net that learned Latin-1 reads them."""
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert Vocabulary("bytes").encode(text) == list(b"caf\xe9")


@pytest.mark.parametrize("unknown", ["error", "skip", "nearest"])
def test_lines_end_as_they_do_in_a_text(unknown):
    assert Vocabulary("characters", "ab\n").encode("a\r\nb\ra", unknown) == [1, 0, 2, 0, 1]


def test_characters_are_sorted_by_code_point():
    vocabulary = Vocabulary("characters", "zebra\n😀é")
    assert vocabulary.plain == {"tokens": "characters", "characters": "\naberzé😀"}
    assert vocabulary.encode("\n😀") == [0, 7]


def test_a_character_of_several_bytes_comes_when_it_is_whole():
    vocabulary = Vocabulary("bytes")
    assert streamed(vocabulary, vocabulary.encode("é😀a")) == ["", "é", "", "", "", "😀", "a", ""]


def test_bytes_that_are_no_text_do_not_stop_the_stream():
    vocabulary = Vocabulary("bytes")
    ids = [0xFF, ord("a"), 0xF0, 0x9F]
    assert streamed(vocabulary, ids) == ["\ufffd", "a", "", "", "\ufffd"]
    assert vocabulary.decode(ids) == "\ufffda\ufffd"


def test_unknown_characters_are_named():
    vocabulary = Vocabulary("characters", "abc\n")
    with pytest.raises(ValueError) as caught:
        vocabulary.encode("aé😀é\udcff")
    assert str(caught.value) == (
        "the vocabulary lacks 'é' (U+00E9), '\\udcff' (U+DCFF), '😀' (U+1F600); allowed: the 4 characters '\\nabc'"
    )
    with pytest.raises(ValueError, match=r"and 90 more; allowed: the 200 characters '.*'\.\.\.$"):
        Vocabulary("characters", "".join(map(chr, range(1000, 1200)))).encode("".join(map(chr, range(2000, 2100))))


def test_skip_drops_what_is_unknown():
    vocabulary = Vocabulary("characters", "abc")
    assert vocabulary.decode(vocabulary.encode("a😀bé", "skip")) == "ab"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("café", "cafe"),
        ("cafe\u0301", "cafe"),
        ("“don’t” – a—b…", '"don\'t" - a-b...'),
        ("ﬁn\u00a0①", "fin 1"),
        ("ÉX", "ex"),
        ("a\u2011b", "a-b"),
        ("Straße", "strasse"),
        ("a\tb", "a b"),
    ],
)
def test_nearest_takes_what_looks_alike(text, found):
    vocabulary = Vocabulary("characters", "abcdefghijklmnopqrstuvwxyz1 .'\"-")
    assert vocabulary.decode(vocabulary.encode(text, "nearest")) == found


def test_nearest_takes_typographic_marks_for_plain_ones():
    vocabulary = Vocabulary("characters", "dont’“é")
    assert vocabulary.decode(vocabulary.encode('"don\'t"e\u0301', "nearest")) == "“don’t“é"


def test_nearest_changes_nothing_that_is_known():
    text = "e\u0301É’ﬁ"
    vocabulary = Vocabulary("characters", text)
    assert vocabulary.decode(vocabulary.encode(text, "nearest")) == text


def test_nearest_gives_up_on_what_is_like_nothing():
    with pytest.raises(ValueError, match=r"lacks '😀' \(U\+1F600\); allowed: the 1 characters 'a'"):
        Vocabulary("characters", "a").encode("Ä😀", "nearest")
