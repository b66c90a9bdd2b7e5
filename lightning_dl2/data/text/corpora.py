"""Named texts: their addresses and digests.

The books are those of the course "Deep Learning" of the University of Amsterdam, assignment 2, 2018 to 2020.
"""

import platform
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import write_text
from lightning_dl2.data.downloads import download_file


class Corpus(NamedTuple):
    """A public file. The address holds a commit's hash, so that its content cannot change."""

    url: str
    sha256: str


def _course(file: str) -> str:
    commit = "2023a19bd45101086cb8fccb67e1095a296d1dc1"
    path = quote(f"assignment_2/2_recurrentnns_gnns/code/Part 2/assets/{file}")
    return f"https://raw.githubusercontent.com/uvadlc/uvadlc_practicals_2020/{commit}/{path}"


CORPORA: dict[str, Corpus | None] = {
    "python_docs": None,  # comes with Python
    "tiny_shakespeare": Corpus(
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
        "/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "grimms_fairy_tales": Corpus(
        _course("book_EN_grimms_fairy_tails.txt"), "e6439bd511820742e842e21b75e89b394d3809eec82ca56b506c39ff39d4a7d6"
    ),
    "democracy_in_america": Corpus(
        _course("book_EN_democracy_in_the_US.txt"), "1ba23c5acbb00b0ffbfe48be30273f5b965eaedca5e8dfce55253e6bb24f2ca5"
    ),
    "darwin_dutch": Corpus(
        _course("book_NL_darwin_reis_om_de_wereld.txt"),
        "389b114334f9e34bea0b01d43dbe6892d44d7c9430c79a6517c74f0658370535",
    ),
    "anna_karenina_dutch": Corpus(
        _course("book_NL_tolstoy_anna_karenina.txt"), "e8516bf15a6636966224617543fa22a129b35655f66fdfe8af224a9802e8e633"
    ),
    "calculus_made_easy": Corpus(
        _course("book_TeX_calculus_made_easy.tex"), "ceca75298f640dfda6e9d632c7f7b1d71d04bc3e619140b8ea1bc76991d57352"
    ),
}


def download(name: str, cache: Path) -> Path:
    """Return the file of the text `name`, one of CORPORA, in the directory `cache`; download it if missing or damaged.

    Raises:
        UserError: the file cannot be downloaded, or the downloaded content has another hash.
    """
    corpus = CORPORA[name]
    if corpus is None:
        return _python_docs(cache)
    path = cache / f"{name}.txt"
    download_file(corpus.url, corpus.sha256, path, name, "data.path=FILE")
    return path


def _python_docs(cache: Path) -> Path:
    """Write the texts of Python's help() on its language. They differ a little between Python's versions."""
    from pydoc_data.topics import topics

    path = cache / f"python_docs_{platform.python_version()}.txt"
    text = "\n\n".join(topics[topic].strip("\n") for topic in sorted(topics)) + "\n"
    try:
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
    except OSError as error:
        raise UserError(
            f"data.cache_dir={cache}: {path.name} cannot be written there: {error.strerror or error}"
        ) from error
    return path
