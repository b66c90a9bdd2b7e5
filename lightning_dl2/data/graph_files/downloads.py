"""Sets of graphs that anybody can fetch, and what to do about those that cannot be fetched by a program."""

from pathlib import Path

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.downloads import download_file
from lightning_dl2.data.graph_files.hashes import HASHES

# The addresses hold a commit's hash, so that their content cannot change.
PLANETOID = "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data"
DGCNN = "https://raw.githubusercontent.com/muhanzhang/pytorch_DGCNN/50f504131ca66382f3f078ae98e59aa3ae35b795/data"
TU = "https://www.chrsmrrs.com/graphkerneldatasets"

URLS = {
    **dict.fromkeys(("cora", "citeseer", "pubmed"), PLANETOID),
    **{name: f"{DGCNN}/{name.upper()}" for name in ("mutag", "proteins", "enzymes", "nci1")},
}

BY_HAND = {
    "zinc": "the .npz file, or the directory with {train,val,test}.pickle out of"
    " https://www.dropbox.com/s/feo9qle74kg48gy/molecules.zip?dl=1 and {train,val,test}.index out of"
    " https://github.com/graphdeeplearning/benchmarking-gnns/tree/master/data/molecules",
    "tu": f"the directory with the unpacked {TU}/NAME.zip",
    "ten_fold": "the file or the directory, such as one of https://github.com/muhanzhang/pytorch_DGCNN/tree/master/data",
}


def fetch_graphs(name: str, cache: Path) -> Path:
    """The directory with the files of the set `name`, below `cache`; fetched unless they are there and whole.

    Raises:
        UserError: they cannot be fetched, what was fetched is something else, or no file of known content can be had.
    """
    if name in BY_HAND:
        raise UserError(f"data.path=null: data.name={name} cannot be downloaded; allowed: data.path= {BY_HAND[name]}")
    if name not in URLS:
        raise UserError(f"data.name={name}: cannot be downloaded; {nearest(name, sorted([*URLS, *BY_HAND]))}")
    directory = cache / name
    for file, expected in HASHES[name].items():
        path = directory / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"data.cache_dir={cache}: {path.parent} cannot be made: {error.strerror}; allowed: a directory that can"
                " be written, or data.path=DIR with all files"
            ) from error
        download_file(f"{URLS[name]}/{file}", expected, path, name, "data.path=DIR with all files")
    return directory
