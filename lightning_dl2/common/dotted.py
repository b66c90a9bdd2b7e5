"""Find a user's own class or function by its dotted path, such as `digits.model.Net`."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from lightning_dl2.common.errors import UserError, close_to, nearest

MOST = 20  # names; a message does not list more


def is_dotted(name: str) -> bool:
    """Tell whether a name is a dotted path; the short names of what is built in have no dot."""
    return "." in name


def find_object(path: str) -> Any:
    """Import what a dotted path names: a class, a function, or an attribute of one.

    The current directory is importable, also for a console script, whose `sys.path` lacks it.

    Raises:
        UserError: there is no such module or name, or the module fails while it is imported. The line does not begin
            with a key: the caller knows which one holds the path.
    """
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise UserError("is no dotted path; allowed: package.module.Name")
    _make_current_directory_importable()
    found: Any = _import(parts[0], path)
    for number, part in enumerate(parts[1:], 1):
        before = ".".join(parts[:number])
        if hasattr(found, part):
            found = getattr(found, part)
        elif isinstance(found, ModuleType) and hasattr(found, "__path__") and find_spec(f"{before}.{part}"):
            found = _import(f"{before}.{part}", path)
        else:
            raise UserError(_describe_missing(found, before, part))
    return found


def find_callable(path: str) -> Callable[..., Any]:
    """Import a class or function as `find_object` does; raise UserError for anything that cannot be called."""
    found = find_object(path)
    if not callable(found):
        kind = "module" if isinstance(found, ModuleType) else type(found).__name__
        raise UserError(f"is a {kind}; allowed: a class or a function")
    return found


def find_instance(path: str) -> Any:
    """Import an object as `find_object` does; a class is called without arguments.

    Raises:
        UserError: `find_object` raises it, or the class cannot be called so.
    """
    found = find_object(path)
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:  # the class is the user's, and may raise anything
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}() fails{place_of(error)}: {what}; fix: correct it, or name an instance") from error


def path_of(kind: Any) -> str:
    """Return the dotted path of a class or function, which `find_object` finds again."""
    return f"{kind.__module__}.{kind.__qualname__}"


def parameters_of(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class or function that have a name of their own; none where there is no signature."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # of a class written in C
        return {}
    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {name: parameter for name, parameter in parameters.items() if parameter.kind not in variadic}


def source_file(kind: Any) -> Path | None:
    """Return the file that defines a class or function; None: it has none, as in an interpreter."""
    try:
        return Path(inspect.getfile(kind))
    except (OSError, TypeError):
        return None


def _make_current_directory_importable() -> None:
    here = os.getcwd()
    if "" not in sys.path and here not in map(os.path.abspath, filter(None, sys.path)):
        sys.path.insert(0, here)  # where `python -m` has it


def _import(name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # the module is there, and imports one that is not
            raise UserError(f"{name} imports {error.name}, which is not installed; fix: install it") from error
        raise UserError(
            f"there is no module {name}; allowed: modules in the current directory, on PYTHONPATH, or installed"
        ) from error
    except Exception as error:  # the module runs, and may raise anything
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"{name} fails while it is imported{place_of(error)}: {what}; fix: correct it there") from error


def place_of(error: BaseException) -> str:
    """Name file and line of the user's code that raised an error."""
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"
    traceback, place = error.__traceback__, ""
    while traceback:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith("<") and file != __file__ and not file.startswith(sys.base_prefix):
            place = f" ({file}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


def _modules_in(package: ModuleType) -> list[str]:
    return [module.name for module in iter_modules(package.__path__)]


def _describe_missing(found: Any, before: str, part: str) -> str:
    names = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
    own = [name for name in names if getattr(vars(found)[name], "__module__", None) == getattr(found, "__name__", "")]
    names = own or names  # those that the module imports are not meant
    if isinstance(found, ModuleType) and hasattr(found, "__path__"):
        names += [name for name in _modules_in(found) if not name.startswith("_")]
    names = sorted(set(names))
    if not names:
        return f"{before} has no {part}"
    return f"{before} has no {part}; {nearest(part, names) if len(names) <= MOST else close_to(part, names)}"
