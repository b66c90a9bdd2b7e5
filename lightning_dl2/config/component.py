"""Check and build a component: a class or function by its dotted path, with the arguments of its constructor.

The constructor is the schema. Its annotations decide what is allowed, by pydantic; its defaults are filled in.

    _target_: points.model.Net
    hidden_size: 16

A value may itself be such a mapping. `_partial_: true` beside a `_target_` gives a function that waits for the other
arguments, as Hydra does.
"""

import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

from lightning_dl2.common.dotted import find_callable
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.messages import describe_allowed
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema.component import TARGET

PARTIAL = "_partial_"
FROM_TRUNK = ("spec", "optimizer", "seed")  # arguments that the package passes to a constructor that takes them
REFERENCE = re.compile(r"\$\{data\.(\w+)\}")  # to a value that only the built data module has


def is_component(value: Any) -> bool:
    """Tell whether a value is a mapping with a `_target_`."""
    return isinstance(value, Mapping) and TARGET in value


def find_target(key: str, values: Mapping[str, Any]) -> Callable[..., Any]:
    """Import the class or function that a component names.

    Raises:
        UserError: it cannot be imported.
    """
    path = values[TARGET]
    if not isinstance(path, str):
        raise UserError(f"{key}.{TARGET}={format_override(path)}: allowed: a dotted path as package.module.Class")
    try:
        return find_callable(path)
    except UserError as error:
        raise UserError(f"{key}.{TARGET}={path}: {error}") from error


def complete_arguments(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a component with the constructor's plain defaults; nothing is checked.

    Args:
        key: of the component, such as "task".

    Raises:
        UserError: the class cannot be imported.
    """
    target = find_target(key, values)
    defaults = {name: default for name, default in _plain_defaults(target).items() if name not in FROM_TRUNK}
    return {TARGET: values[TARGET], **defaults, **{name: value for name, value in values.items() if name != TARGET}}


def check_component(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check the plain values of a component against its constructor, and return them completed.

    Args:
        key: of the component, such as "task", for messages.

    Raises:
        UserError: an unknown, missing or wrong argument, or a class that cannot be imported.
    """
    completed = complete_arguments(key, values)
    _converted(key, completed)
    return completed


def instantiate(key: str, values: Mapping[str, Any], **passed: Any) -> Any:
    """Build a component.

    Args:
        key: of the component, such as "task", for messages.
        values: plain, with a `_target_`.
        passed: arguments that the package has, such as `spec`; the constructor gets those that it takes.

    Raises:
        UserError: an argument is wrong, or the constructor raises a ValueError, TypeError or OSError.
    """
    target = find_target(key, values)
    arguments = _converted(key, values)
    arguments |= {name: value for name, value in passed.items() if name not in arguments and takes(target, name)}
    if values.get(PARTIAL):
        return partial(target, **arguments)
    try:
        return target(**arguments)
    except UserError:
        raise
    except (ValueError, TypeError, OSError, RuntimeError, KeyError, AttributeError, MemoryError) as error:
        what = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
        raise UserError(f"{key}: {values[TARGET]} cannot be built: {what}") from error


def takes(target: Callable[..., Any], name: str) -> bool:
    """Tell whether a constructor has a parameter of this name; `**kwargs` does not count."""
    parameter = _parameters(target).get(name)
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def argument_names(target: Callable[..., Any]) -> list[str]:
    """Return the names of a constructor's arguments, without those that the package passes."""
    kinds = {name: each.kind for name, each in _parameters(target).items() if name not in FROM_TRUNK}
    return [name for name, kind in kinds.items() if kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD)]


def describe_arguments(target: Callable[..., Any]) -> dict[str, str]:
    """Map each documented argument of a constructor to its description in the docstring's `Args:` section."""
    found: dict[str, str] = {}
    for text in (inspect.getdoc(target) or "", inspect.getdoc(getattr(target, "__init__", None)) or ""):
        _, _, section = text.partition("Args:\n")
        name = ""
        for line in section.splitlines():
            head, colon, rest = line.strip().partition(":")
            if line and not line.startswith(" "):
                break
            if colon and line.startswith("    ") and not line.startswith("     ") and head.split(" ")[0].isidentifier():
                name = head.split(" ")[0]
                found[name] = rest.strip()
            elif name:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):  # written in C, without a signature
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}


def _plain_defaults(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults that YAML can hold."""
    defaults = {}
    for name, parameter in _parameters(target).items():
        if parameter.default is not parameter.empty and name != "self":
            try:
                defaults[name] = json.loads(json.dumps(parameter.default, allow_nan=False))
            except (TypeError, ValueError):  # such as torch.nn.ReLU: the constructor takes its own default
                continue
    return defaults


def _converted(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a component; return them as the constructor's annotations have them."""
    target = find_target(key, values)
    given = {name: value for name, value in values.items() if name not in (TARGET, PARTIAL)}
    if TARGET in given.values():
        raise UserError(f"{key}: allowed: one {TARGET}")
    built = {name: value for name, value in given.items() if _holds_component(value) or _is_reference(value)}
    schema = _schema(target, frozenset(built), bool(values.get(PARTIAL)))
    plain = {name: value for name, value in given.items() if name not in built}
    try:
        checked = schema.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        raise UserError(_describe(error, key, values, target)) from error
    names = {field.alias: name for name, field in schema.model_fields.items()}
    found = {name: getattr(checked, names[name]) if name in names else value for name, value in plain.items()}
    _check_positional(key, values, target)
    return found | {name: _build_inner(f"{key}.{name}", value) for name, value in built.items()}


def _holds_component(value: Any) -> bool:
    if is_component(value):
        return True
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(map(_holds_component, inner))


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def _build_inner(key: str, value: Any) -> Any:
    if is_component(value):
        return instantiate(key, value)
    if isinstance(value, Mapping):
        return {name: _build_inner(f"{key}.{name}", each) for name, each in value.items()}
    if isinstance(value, list):
        return [_build_inner(f"{key}.{number}", each) for number, each in enumerate(value)]
    return value


@cache
def _schema(target: Callable[..., Any], built: frozenset[str], is_partial: bool) -> type[BaseModel]:
    """Make the pydantic model of a constructor.

    Args:
        built: arguments that are components, or become known later; they are not checked here.
        is_partial: whether arguments may be missing.
    """
    hints = _hints(target)
    fields: dict[str, Any] = {}
    parameters = _parameters(target)
    for number, (name, parameter) in enumerate(parameters.items()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name in built:
            continue
        required = parameter.default is parameter.empty and not is_partial and name not in FROM_TRUNK
        kind = hints.get(name, Any)
        if parameter.default is None:
            kind = kind | None if kind is not Any and not isinstance(kind, str) else kind
        # An alias, because a model has attributes of its own, such as copy.
        fields[f"argument_{number}"] = (kind, Field(... if required else None, alias=name))
    extra: Any = "allow" if any(p.kind == p.VAR_KEYWORD for p in parameters.values()) else "forbid"
    config = ConfigDict(extra=extra, strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    title: str = getattr(target, "__name__", "Component")
    try:
        return create_model(title, __config__=config, **fields)
    except (PydanticUserError, TypeError, NameError):  # an annotation that pydantic cannot check
        for key, (kind, field) in fields.items():
            try:
                create_model(title, __config__=config, **{key: (kind, field)})  # type: ignore[call-overload]
            except (PydanticUserError, TypeError, NameError):
                fields[key] = (Any, field)
        return create_model(title, __config__=config, **fields)


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    constructor: Any = target.__init__ if inspect.isclass(target) else target
    if inspect.isclass(target) and "__new__" in vars(target) and "__init__" not in vars(target):
        constructor = target.__new__
    try:
        return typing.get_type_hints(constructor, include_extras=True)
    except Exception:  # noqa: BLE001  names under TYPE_CHECKING; each annotation by itself then
        found = {}
        for name, value in getattr(constructor, "__annotations__", {}).items():
            if not isinstance(value, str):
                found[name] = value
                continue
            try:
                found[name] = eval(value, getattr(constructor, "__globals__", {}))  # as get_type_hints does
            except Exception:  # noqa: BLE001, S112
                continue
        return found


def _check_positional(key: str, values: Mapping[str, Any], target: Callable[..., Any]) -> None:
    if only := [name for name, each in _parameters(target).items() if each.kind == each.POSITIONAL_ONLY]:
        raise UserError(f"{key}.{only[0]}: {values[TARGET]} takes it by position only; fix: let it take a keyword")


def _describe(error: ValidationError, key: str, values: Mapping[str, Any], target: Callable[..., Any]) -> str:
    """Describe the first wrong argument: key, value, and what the constructor allows."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    path = f"{key}.{name}"
    whose = f"{key} is {values[TARGET]}"
    known = argument_names(target)
    if first["type"] == "missing":
        return f"{path}: is missing; fix: give {path}=VALUE; {whose}"
    shown = json.dumps(values.get(name), ensure_ascii=False)
    if first["type"] == "extra_forbidden":
        allowed = nearest(name, known) if known else "allowed: none"
        return f"{path}={shown}: there is no key {path}; {allowed}; {whose}"
    says = [describe_allowed(each) for each in error.errors() if each["loc"][:1] == first["loc"][:1]]
    return f"{path}={shown}: allowed: {' or '.join(dict.fromkeys(says))}; {whose}"
