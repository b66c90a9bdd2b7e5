"""Read pickled data of other programs safely.

Unpickling calls any function that the file names. Here only those of a list can be named.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dl2.common.errors import UserError

Allowed = Mapping[tuple[str, str], Callable[..., Any]]

_reconstruct: Any = np.empty(0).__reduce__()[0]  # its module has another name in every version of numpy
_scalar: Any = np.float64(0).__reduce__()[0]
_from_buffer: Any = np.empty(1).__reduce_ex__(5)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Decode bytes as Python 3 writes them in the pickle protocol of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding}")
    return text.encode("latin1")


# The parts of arrays and scalars of numpy 1 and 2.
NUMPY: Allowed = {
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",  # empty bytes, in that protocol
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path, allowed: Allowed, kind: str) -> None:
        super().__init__(file, encoding="latin1")  # Python 2's strings, which hold the bytes of arrays
        self.path, self.allowed, self.kind = path, allowed, kind

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in self.allowed:
            raise UserError(
                f"data.path={self.path}: is no {self.kind}: it asks for {module}.{name};"
                " allowed: data alone, and no other classes and functions"
            )
        return self.allowed[module, name]

    def persistent_load(self, pid: Any) -> None:
        raise pickle.UnpicklingError("refers to something outside")


def read_pickle(path: Path, allowed: Allowed, kind: str) -> Any:
    """Read a pickle of plain Python data and of what is `allowed`.

    Args:
        path: the file; of Python 2 or 3.
        allowed: module and name in the file -> the function that is called instead.
        kind: the kind of file, for messages.

    Raises:
        UserError: the file is missing or damaged, or names anything else.
    """
    try:
        with open(path, "rb") as file:
            return _Unpickler(file, path, allowed, kind).load()
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"data.path={path}: cannot be read ({error.strerror}); allowed: a {kind}") from error
    except Exception as error:  # a damaged pickle can fail anywhere, with any error
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(f"data.path={path}: is damaged or no {kind} ({reason}); allowed: a whole one") from error
