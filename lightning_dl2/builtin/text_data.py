"""Define the schema of the texts that are built in, and of files of text."""

import os
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lightning_dl2.builtin.base import BuiltInData
from lightning_dl2.builtin.text_files import as_list, find_texts, first_match, quick_digest
from lightning_dl2.config.schema.base import Fraction, Natural, Part, Positive, Workers
from lightning_dl2.config.schema.component import HELD_OUT

TEXTS = (
    "python_docs", "tiny_shakespeare", "grimms_fairy_tales", "democracy_in_america", "darwin_dutch",
    "anna_karenina_dutch", "calculus_made_easy",
    "text",  # any file, by its path
)  # fmt: skip
NO_TEST = "validation, which also chose the checkpoint"


class TextData(BuiltInData):
    module: ClassVar[str] = "lightning_dl2.data.text.module.TextDataModule"
    fitting_task: ClassVar[str | None] = "text_generator"

    name: Literal[TEXTS]  # type: ignore[valid-type]
    path: str | Annotated[list[str], Field(min_length=1)] | None
    splits: Literal["position", "files"]
    tokens: Annotated[str, Part("characters", "bytes")]
    encoding: Annotated[str, Field(min_length=1)]
    sequence_length: Positive
    batch_size: Positive
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Fraction
    evaluation_batch_size: Positive
    evaluation_warmup: Natural
    cold_window: Positive
    num_workers: Workers
    cache_dir: str | None

    @model_validator(mode="after")
    def something_is_left_to_train_on(self) -> "TextData":
        if self.splits == "position" and self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: with test_fraction={self.test_fraction} nothing is"
                " left to train on; allowed: a sum below 1"
            )
        return self

    @property
    def test_split(self) -> str:
        return NO_TEST if self.splits == "position" and self.test_fraction == 0 else HELD_OUT

    @property
    def sources(self) -> list[str]:
        return [] if self.path is None else [first_match(item) for item in as_list(self.path)]

    def quick_digest(self) -> str | None:
        return quick_digest(find_texts(self.path, self.splits)) if self.path is not None else None

    def at(self, path: Any) -> Self:
        """Return these data with another path; a list may be typed as [a.txt,b.txt]."""
        if isinstance(path, str) and path.startswith("[") and not os.path.lexists(path):
            from lightning_dl2.config.overrides import parse_override

            typed = parse_override(f"data.path={path}").value()
            path = list(map(str, typed)) if isinstance(typed, list) else path
        return super().at(path)
