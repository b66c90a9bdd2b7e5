"""Download the public sets of graphs."""

from pathlib import Path

from lightning_dl2.builtin.data_path import check_data_path
from lightning_dl2.builtin.graph_data import HETEROPHILOUS, PLANAR_SAT, PLANETOID, TU_SETS
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.downloads import download_file

# The addresses hold a commit's hash, so that their content cannot change.
PLANETOID_FILES = "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data"
DGCNN = "https://raw.githubusercontent.com/muhanzhang/pytorch_DGCNN/50f504131ca66382f3f078ae98e59aa3ae35b795/data"

HETEROPHILOUS_FILES = (
    "https://raw.githubusercontent.com/yandex-research/heterophilous-graphs"
    "/a431395582e929d88271309716bea4fe24ce6318/data"
)
GNN_RNI = "https://raw.githubusercontent.com/ralphabb/GNN-RNI/966b5ed5c27bf6372ea081f90ef8c8b2a3342ebc/Data"
BREC = "https://raw.githubusercontent.com/GraphPKU/BREC/43c69c06462d3a165ba2b532d76cbc045fc767d7/customize/Data/raw"

URLS = {
    **dict.fromkeys(PLANETOID, PLANETOID_FILES),
    **dict.fromkeys(HETEROPHILOUS, HETEROPHILOUS_FILES),
    **{name: f"{DGCNN}/{name.upper()}" for name in TU_SETS},
    **{name: f"{GNN_RNI}/{name.upper()}" for name in PLANAR_SAT},
    "brec": BREC,
}

# Numbers of the nodes that the TU collection has and DGCNN's files lack, in the same order of graphs and nodes: the
# address, and the SHA-256. The files are those of the collection's ENZYMES.zip and PROTEINS.zip.
ATTRIBUTES = {
    "enzymes": (
        "https://raw.githubusercontent.com/JiaxuanYou/graph-generation/3444b8ad2fd7ecb6ade45086b4c75f8e2e9f29d1"
        "/dataset/ENZYMES/ENZYMES_node_attributes.txt",
        "305a8fc3b12f79fb844ef3374d6a3c8ceeb4887dd4f86bbfe37932c4c5434e7b",
    ),
    "proteins": (
        "https://raw.githubusercontent.com/bknyaz/graph_nn/72eaa1c6bd70a90fde772ad4a21049ccd6bc97a2"
        "/data/PROTEINS/PROTEINS_node_attributes.txt",
        "54eef829abb37e458a5fbf3a3c581e48e5810e220463c2cd951856b9ceb08f07",
    ),
}

# SHA-256 of each file of a set: {"cora": {"ind.cora.x": "23cf...", ...}, ...}, computed at the commits above. Some
# files were too large for that: git's own hash of them is known, a SHA-1.
HASHES: dict[str, dict[str, str]] = {
    "pubmed": {"ind.pubmed.allx": "3b86bccf08111c37c632a9dd8ab63db25ea76361"},
    "questions": {"questions.npz": "4c7cb65057dbc9771af00fdfdee64a41b3875079"},
    "roman_empire": {"roman_empire.npz": "1f9bae5e95b28e529015269e98acb237b65d8d3b"},
    "amazon_ratings": {"amazon_ratings.npz": "29647a8b0ff0ef856d73d683a8c3595bd5efbd38"},
}
for _line in Path(__file__).with_name("sha256sums.txt").read_text("utf-8").splitlines():
    _hash, _path = _line.split("  ")
    _name, _file = _path.split("/", 1)
    HASHES.setdefault(_name, {})[_file] = _hash


def fetch_graphs(name: str, cache: Path) -> Path:
    """Return the directory of the set `name`, below `cache`; download the files that are missing or damaged.

    Raises:
        UserError: the set cannot be downloaded, or a downloaded file has another hash.
    """
    check_data_path(name, None)
    if name not in URLS:
        raise UserError(f"data.name={name}: cannot be downloaded; {nearest(name, sorted(URLS))}")
    directory = cache / name
    for file, expected in HASHES[name].items():
        _fetch_file(f"{URLS[name]}/{file}", expected, directory / file, name, cache)
    return directory


def fetch_attributes(name: str, cache: Path) -> Path:
    """Return the file of node attributes of the set `name`, one of ATTRIBUTES, below `cache`; download it if needed.

    Raises:
        UserError: the file cannot be downloaded, or has another hash.
    """
    url, expected = ATTRIBUTES[name]
    path = cache / f"{name}_attributes" / url.rpartition("/")[2]
    _fetch_file(url, expected, path, name, cache)
    return path


def _fetch_file(url: str, expected: str, path: Path, name: str, cache: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"data.cache_dir={cache}: {path.parent} cannot be made: {error.strerror}; fix: set data.cache_dir=DIR"
            " that can be written, or data.path=DIR with all files"
        ) from error
    download_file(url, expected, path, name, "data.path=DIR with all files")
