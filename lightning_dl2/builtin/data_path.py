"""Check, before anything is read, that `data.path` leads to a file or a directory of the right kind."""

from collections.abc import Sequence
from pathlib import Path

from lightning_dl2.builtin.graph_data import HETEROPHILOUS, PLANETOID
from lightning_dl2.builtin.graph_formats import OWN, OWN_GRAPHS, SETS_ALONE, allowed_graphs, find_graph_format
from lightning_dl2.builtin.text_data import TEXTS
from lightning_dl2.builtin.text_files import ALLOWED, find_texts
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.paths import describe_path, user_path

# The file and the directory that each format is read from; None: no such one. A data set with the name of a format
# cannot be downloaded.
FORMATS: dict[str, tuple[str | None, str | None]] = {
    "text": (ALLOWED, None),
    "sequence_file": ("a .npz, .csv, .tsv or .txt file", "a directory with such files named train, val and test"),
    **dict.fromkeys(OWN, (None, None)),  # `graph_formats` knows them
    "planetoid": (None, "a directory with files of Planetoid"),
    "heterophilous": ("an .npz file of the benchmark", "a directory with it"),
    "tu": (None, "a directory with files of the TU format"),
    "ten_fold": ("a text file of DGCNN's format", "a directory with one"),
    "zinc": ("an .npz file", "a directory of ZINC"),
}
FORMAT_OF = {  # others: the name, or ten_fold
    **dict.fromkeys(TEXTS, "text"),
    **dict.fromkeys(PLANETOID, "planetoid"),
    **dict.fromkeys(HETEROPHILOUS, "heterophilous"),
}

TU = "https://www.chrsmrrs.com/graphkerneldatasets"
BY_HAND = {
    "zinc": "the .npz file, or the directory with {train,val,test}.pickle out of"
    " https://www.dropbox.com/s/feo9qle74kg48gy/molecules.zip?dl=1 and {train,val,test}.index out of"
    " https://github.com/graphdeeplearning/benchmarking-gnns/tree/master/data/molecules",
    "tu": f"the directory with the unpacked {TU}/NAME.zip",
    "ten_fold": "the file or the directory, such as one of https://github.com/muhanzhang/pytorch_DGCNN/tree/master/data",
}


def check_data_path(name: str, path: str | Sequence[str] | None, splits: str = "position") -> None:
    """Raise UserError if the data set `name` needs a path, or cannot be read from this one; `splits` is of a text."""
    if path is not None and FORMAT_OF.get(name) == "text":
        find_texts(path, splits)
    elif path is not None:
        assert isinstance(path, str)  # the schema allows a list for texts only
        check_format(FORMAT_OF.get(name, name if name in FORMATS else "ten_fold"), user_path("data.path", path))
    elif name in FORMATS:
        by_hand = BY_HAND.get(name, _allowed(name))
        raise UserError(f"data.path=null: data.name={name} cannot be downloaded; fix: set data.path to {by_hand}")


def check_format(name: str, path: Path) -> None:
    """Raise UserError if the path is no file or directory of a format, one of FORMATS."""
    file, directory = FORMATS[name]
    try:
        if name in OWN:
            if find_graph_format(path, OWN[name]) is not None:
                return
            if (found := find_graph_format(path)) is not None:
                raise UserError(f"data.path={path}: {_of_another(name, found)}")
        elif path.is_file() and file or path.is_dir() and directory:
            return
        problem = describe_path(path)
    except OSError as error:  # a folder on the way may not be read
        problem = f"cannot be read ({error.strerror})"
    raise UserError(f"data.path={path}: {problem}; allowed: {_allowed(name)}")


def _of_another(name: str, found: str) -> str:
    """Say which data read the format `found`, which `name` does not."""
    if name in OWN_GRAPHS and found in SETS_ALONE:
        return "is a set of graphs; fix: data=graph_set_file, with experiment=graph_set or another one of sets"
    if name in OWN_GRAPHS:
        return f"is no {name.removeprefix('graph_').upper()}; fix: data=graph_file"
    return "is one graph; fix: data=graph_file, with experiment=graph or another one of one graph"


def _allowed(name: str) -> str:
    if name in OWN:
        return allowed_graphs(*OWN[name])
    return " or ".join(kind for kind in FORMATS[name] if kind)
