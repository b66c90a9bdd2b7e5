"""Download the public sets of graphs; say where to get those that a program cannot download."""

from pathlib import Path

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.schema import PLANETOID
from lightning_dl2.data.downloads import download_file

# The addresses hold a commit's hash, so that their content cannot change.
PLANETOID_FILES = "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data"
DGCNN = "https://raw.githubusercontent.com/muhanzhang/pytorch_DGCNN/50f504131ca66382f3f078ae98e59aa3ae35b795/data"
TU = "https://www.chrsmrrs.com/graphkerneldatasets"

URLS = {
    **dict.fromkeys(PLANETOID, PLANETOID_FILES),
    **{name: f"{DGCNN}/{name.upper()}" for name in ("mutag", "proteins", "enzymes", "nci1")},
}

# SHA-256 of each file of a set: {"cora": {"ind.cora.x": "23cf...", ...}, ...}, computed at the commits above. PubMed's
# allx was too large for that: git's own hash of it is known, a SHA-1.
HASHES: dict[str, dict[str, str]] = {"pubmed": {"ind.pubmed.allx": "3b86bccf08111c37c632a9dd8ab63db25ea76361"}}
for _line in Path(__file__).with_name("sha256sums.txt").read_text("utf-8").splitlines():
    _hash, _path = _line.split("  ")
    _name, _file = _path.split("/", 1)
    HASHES.setdefault(_name, {})[_file] = _hash

BY_HAND = {
    "zinc": "the .npz file, or the directory with {train,val,test}.pickle out of"
    " https://www.dropbox.com/s/feo9qle74kg48gy/molecules.zip?dl=1 and {train,val,test}.index out of"
    " https://github.com/graphdeeplearning/benchmarking-gnns/tree/master/data/molecules",
    "tu": f"the directory with the unpacked {TU}/NAME.zip",
    "ten_fold": "the file or the directory, such as one of https://github.com/muhanzhang/pytorch_DGCNN/tree/master/data",
}


def fetch_graphs(name: str, cache: Path) -> Path:
    """Return the directory of the set `name`, below `cache`; download the files that are missing or damaged.

    Raises:
        UserError: the set cannot be downloaded, or a downloaded file has another hash.
    """
    if name in BY_HAND:
        raise UserError(f"data.path=null: data.name={name} cannot be downloaded; fix: data.path= {BY_HAND[name]}")
    if name not in URLS:
        raise UserError(f"data.name={name}: cannot be downloaded; {nearest(name, sorted([*URLS, *BY_HAND]))}")
    directory = cache / name
    for file, expected in HASHES[name].items():
        path = directory / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"data.cache_dir={cache}: {path.parent} cannot be made: {error.strerror}; fix: data.cache_dir=DIR that"
                " can be written, or data.path=DIR with all files"
            ) from error
        download_file(f"{URLS[name]}/{file}", expected, path, name, "data.path=DIR with all files")
    return directory
