"""Download the public sets of graphs."""

from pathlib import Path

from lightning_dl2.builtin.data_path import check_data_path
from lightning_dl2.builtin.graph_data import HETEROPHILOUS, PLANETOID, TU_SETS
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.downloads import download_file

# The addresses hold a commit's hash, so that their content cannot change.
PLANETOID_FILES = "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data"
DGCNN = "https://raw.githubusercontent.com/muhanzhang/pytorch_DGCNN/50f504131ca66382f3f078ae98e59aa3ae35b795/data"

HETEROPHILOUS_FILES = (
    "https://raw.githubusercontent.com/yandex-research/heterophilous-graphs"
    "/a431395582e929d88271309716bea4fe24ce6318/data"
)

URLS = {
    **dict.fromkeys(PLANETOID, PLANETOID_FILES),
    **dict.fromkeys(HETEROPHILOUS, HETEROPHILOUS_FILES),
    **{name: f"{DGCNN}/{name.upper()}" for name in TU_SETS},
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
        path = directory / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"data.cache_dir={cache}: {path.parent} cannot be made: {error.strerror}; fix: set data.cache_dir=DIR"
                " that can be written, or data.path=DIR with all files"
            ) from error
        download_file(f"{URLS[name]}/{file}", expected, path, name, "data.path=DIR with all files")
    return directory
