"""Define the schemas of sequences with targets that are given: in a file, or as a published set."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from lightning_dl2.builtin.base import BuiltInData
from lightning_dl2.config.schema.base import Positive, Workers

FITTING_TASKS = {"label": "sequence_classifier", "number": "sequence_regressor", "marked": "sequence_transducer"}


class SequenceFileData(BuiltInData):
    """Schema of sequences of the user's own, with a label or number each or symbols at marked steps."""

    module: ClassVar[str] = "lightning_dl2.data.sequences.labelled.LabelledSequenceDataModule.from_file"

    name: Literal["sequence_file"]
    path: str | None
    tokens: Literal["characters", "words", "numbers"]
    answer: Literal["label", "number", "marked"] = "label"  # younger than runs on files, as test_lengths are
    test_lengths: list[Positive] = []
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(ge=0, lt=2**32)]
    normalize: bool
    batch_size: Positive
    evaluation_batch_size: Positive
    bucket_batches: Positive
    num_workers: Workers

    @model_validator(mode="after")
    def something_is_left_to_train_on(self) -> "SequenceFileData":
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: with test_fraction={self.test_fraction} nothing is"
                " left to train on; allowed: a sum below 1"
            )
        return self

    @classmethod
    def task_for(cls, values: Mapping[str, Any]) -> str | None:
        return FITTING_TASKS.get(values.get("answer", "label"))

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name"})


class MNIST1DData(BuiltInData):
    """Schema of the published set of MNIST-1D."""

    module: ClassVar[str] = "lightning_dl2.data.sequences.labelled.LabelledSequenceDataModule.from_mnist1d"
    fitting_task: ClassVar[str | None] = "sequence_classifier"
    has_vectors: ClassVar[bool] = True

    name: Literal["mnist1d"]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(ge=0, lt=2**32)]
    batch_size: Positive
    evaluation_batch_size: Positive
    num_workers: Workers

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name"})
