"""The groups under conf/data/."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.schema.base import Fraction, Natural, Positive, Strict

TEXTS = (
    "python_docs",
    "tiny_shakespeare",
    "grimms_fairy_tales",
    "democracy_in_america",
    "darwin_dutch",
    "anna_karenina_dutch",
    "calculus_made_easy",
    "text",  # any file, by its path
)
MINIMUM_LENGTH = {"decimal_palindrome": 2, "binary_palindrome": 1, "baum_sweet": 2, "random_combinations": 2}


class Curriculum(Strict):
    enabled: bool
    start: Positive
    growth: Annotated[float, Field(gt=1)]
    threshold: Annotated[float, Field(gt=0, le=1)]
    smoothing: Fraction
    shortest: Annotated[float, Field(gt=0, le=1)]
    tokens_per_batch: Positive | None
    minimum_batch_size: Positive
    full_rate_length: Positive | None
    final_steps: Positive | None


class SequenceData(Strict):
    name: Literal["decimal_palindrome", "binary_palindrome", "baum_sweet", "random_combinations"]
    sequence_length: Positive
    batch_size: Positive
    batches_per_epoch: Positive
    validation_size: Positive
    test_size: Positive
    evaluation_batch_size: Positive
    curriculum: Curriculum

    @model_validator(mode="after")
    def lengths_are_possible(self) -> "SequenceData":
        least = MINIMUM_LENGTH[self.name]
        if self.sequence_length < least:
            raise ValueError(f"sequence_length={self.sequence_length}: {self.name} allowed: {least} or more")
        if self.curriculum.enabled and not least <= self.curriculum.start <= self.sequence_length:
            raise ValueError(
                f"curriculum.start={self.curriculum.start}:"
                f" allowed: {least} to data.sequence_length={self.sequence_length}"
            )
        return self


class TextData(Strict):
    name: Literal[TEXTS]
    path: str | None
    tokens: Literal["characters", "bytes"]
    encoding: Annotated[str, Field(min_length=1)]
    sequence_length: Positive
    batch_size: Positive
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Fraction
    evaluation_batch_size: Positive
    evaluation_warmup: Natural
    cold_window: Positive
    cache_dir: str | None

    @model_validator(mode="after")
    def something_is_left_to_train_on(self) -> "TextData":
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: with test_fraction={self.test_fraction} nothing is"
                " left to train on; allowed: a sum below 1"
            )
        return self


# The name tells which keys there are.
Data = Annotated[SequenceData | TextData, Field(discriminator="name")]
