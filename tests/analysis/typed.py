"""Parse the arguments of an analysis from values as a user types them."""

from typing import TypeVar

from lightning_dl2.analysis.arguments import AnalysisArguments
from lightning_dl2.common.arguments import parse

A = TypeVar("A", bound=AnalysisArguments)


def typed(model: type[A], values: dict[str, str]) -> A:
    return parse(model, [f"{key}={value}" for key, value in values.items()])
