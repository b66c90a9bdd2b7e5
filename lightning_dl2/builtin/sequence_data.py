"""Define the schemas of the sequences that are built in."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lightning_dl2.builtin.base import BuiltInData
from lightning_dl2.common.dotted import find_instance, is_dotted
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.base import OWN, Fraction, Natural, Positive, Strict, Workers
from lightning_dl2.config.schema.component import HELD_OUT

if TYPE_CHECKING:
    from lightning_dl2.config.schema.run import Config

MINIMUM_LENGTH = {"decimal_palindrome": 2, "binary_palindrome": 1, "baum_sweet": 2, "random_combinations": 2}

# Shortest sequences of which there are enough to hold some out for validation and test.
MINIMUM_HELD_OUT = {"decimal_palindrome": 3, "binary_palindrome": 3, "baum_sweet": 2, "random_combinations": 5}

# Of the tasks with targets at marked positions: the shortest length, and the shortest of which some are held out (None:
# no length has enough).
MARKED_LENGTHS: dict[str, tuple[int, int | None]] = {
    "parity_check": (1, 6), "even_pairs": (1, 6), "cycle_navigation": (1, 4), "modular_arithmetic": (1, 3),
    "reverse_string": (1, 6), "modular_arithmetic_brackets": (1, 5), "stack_manipulation": (1, 4),
    "solve_equation": (3, 7), "duplicate_string": (1, 6), "missing_duplicate": (2, 8), "odds_first": (1, 6),
    "bucket_sort": (1, 3), "binary_addition": (3, 6), "binary_multiplication": (3, 6), "compute_sqrt": (1, 6),
    "marked_reversal": (1, 13), "unmarked_reversal": (2, 12), "dyck_1": (2, 12), "dyck_2": (2, 8), "a_n_b_n": (2, None),
    "a_n_b_n_c_n": (3, None), "majority": (1, 7), "first_bit": (1, 7),
    "word_problem_z2": (1, 6), "word_problem_z60": (1, 2), "word_problem_s3": (1, 3), "word_problem_a5": (1, 2),
    "word_problem_s5": (1, 1),
    "copying_memory": (1, 1), "selective_copying": (16, 16), "associative_recall": (1, 1), "induction_heads": (2, 3),
}  # fmt: skip

LANGUAGES = (
    "marked_reversal", "unmarked_reversal", "dyck_1", "dyck_2", "a_n_b_n", "a_n_b_n_c_n", "majority", "first_bit",
)  # fmt: skip

VECTOR_LENGTHS = {"mnist1d_drawn": 2}  # shortest, of the tasks of real vectors, which never come twice

# Of the tasks with a real target: the shortest length. All read real vectors, which never come twice.
REGRESSION_LENGTHS = {"adding_problem": 2}

NOT_HELD_OUT = "the sequences of training: there are no others"


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


class HiddenSymbols(Strict):
    steps: Natural
    falling_steps: Natural


class SequenceData(BuiltInData):
    module: ClassVar[str] = "lightning_dl2.data.sequences.module.SequenceDataModule"
    fitting_task: ClassVar[str | None] = "sequence_classifier"

    name: Literal[*MINIMUM_LENGTH]  # type: ignore[valid-type]  # as below: the names stand in one place, not in a type
    sequence_length: Positive
    batch_size: Positive
    batches_per_epoch: Positive
    validation_size: Positive
    test_size: Positive
    evaluation_batch_size: Positive
    num_workers: Workers
    curriculum: Curriculum
    # These are younger than runs on tasks of the user's own, whose group in conf/ nobody knows.
    shortest_length: Positive | None = None
    test_lengths: list[Positive] = []
    length_test_size: Positive = 128
    training_size: Positive | None = None
    next_symbols: bool = False
    hidden_symbols: HiddenSymbols | None = None

    @model_validator(mode="after")
    def lengths_and_workers_are_possible(self) -> "SequenceData":
        least = self.minimum_length
        if self.sequence_length < least:
            raise ValueError(f"sequence_length={self.sequence_length}: {self.name} allowed: {least} or more")
        if self.shortest_length is not None and not least <= self.shortest_length <= self.sequence_length:
            raise ValueError(
                f"shortest_length={self.shortest_length}: {self.name} allowed: {least} to"
                f" data.sequence_length={self.sequence_length}, or null"
            )
        if min(self.test_lengths, default=least) < least or len(set(self.test_lengths)) < len(self.test_lengths):
            raise ValueError(f"test_lengths={self.test_lengths}: {self.name} allowed: different ones from {least} on")
        if self.curriculum.enabled and not least <= self.curriculum.start <= self.sequence_length:
            raise ValueError(
                f"curriculum.start={self.curriculum.start}:"
                f" allowed: {least} to data.sequence_length={self.sequence_length}"
            )
        if self.training_size is not None and self.curriculum.enabled:
            raise ValueError(
                f"training_size={self.training_size}: a curriculum draws sequences of other lengths; allowed: null, or"
                " data.curriculum.enabled=false"
            )
        if self.num_workers and self.curriculum.enabled:
            raise ValueError(
                f"num_workers={self.num_workers}: workers prefetch batches, but with a curriculum a batch depends on"
                " the current accuracy; allowed: 0, or data.curriculum.enabled=false"
            )
        return self

    @model_validator(mode="after")
    def next_and_hidden_symbols_are_known(self) -> "SequenceData":
        if self.next_symbols and self.name not in LANGUAGES and not is_dotted(self.name):
            raise ValueError(
                f"next_symbols=true: {self.name} is no language; allowed: false, or data.name of {', '.join(LANGUAGES)}"
            )
        if self.hidden_symbols and (not self.next_symbols or self.training_size is not None):
            raise ValueError(
                "hidden_symbols: are symbols that training asks for, of strings drawn without end; allowed: null, or"
                " data.next_symbols=true and data.training_size=null"
            )
        return self

    @property
    def minimum_length(self) -> int:
        return MINIMUM_LENGTH[self.name]

    @property
    def holds_out(self) -> bool:
        """Tell whether validation and test have sequences of their own."""
        return self.sequence_length >= MINIMUM_HELD_OUT[self.name]

    @property
    def test_split(self) -> str:
        return HELD_OUT if self.holds_out else NOT_HELD_OUT

    @property
    def has_vectors(self) -> bool:
        """Tell whether the sequences are of real vectors, not of tokens."""
        return False

    @property
    def batches_in_epoch(self) -> int | None:
        return self.batches_per_epoch if self.training_size is None else None

    def check(self, config: "Config") -> None:
        rule = self.curriculum
        lowers = rule.enabled and (rule.full_rate_length is not None or rule.final_steps is not None)
        name = config.optimizer.schedule.name
        if lowers and (name == "plateau" or is_dotted(name)):
            raise ValueError(
                f"optimizer.schedule.name={name}: the curriculum sets the learning rate too; fix: choose another"
                " schedule, or data.curriculum.full_rate_length=null and data.curriculum.final_steps=null"
            )


class MarkedSequenceData(SequenceData):
    """Schema of the tasks with targets at marked positions."""

    fitting_task: ClassVar[str | None] = "sequence_transducer"

    name: Literal[*MARKED_LENGTHS]  # type: ignore[valid-type]

    @property
    def minimum_length(self) -> int:
        return MARKED_LENGTHS[self.name][0]

    @property
    def holds_out(self) -> bool:
        least = MARKED_LENGTHS[self.name][1]
        return least is not None and self.sequence_length >= least


class VectorSequenceData(SequenceData):
    """Schema of the tasks of real vectors, with a label each."""

    name: Literal[*VECTOR_LENGTHS]  # type: ignore[valid-type]

    @property
    def minimum_length(self) -> int:
        return VECTOR_LENGTHS[self.name]

    @property
    def holds_out(self) -> bool:
        return True

    @property
    def has_vectors(self) -> bool:
        return True


class RegressionSequenceData(VectorSequenceData):
    """Schema of the tasks of real vectors, with a real target each."""

    fitting_task: ClassVar[str | None] = "sequence_regressor"

    name: Literal[*REGRESSION_LENGTHS]  # type: ignore[valid-type]

    @property
    def minimum_length(self) -> int:
        return REGRESSION_LENGTHS[self.name]


class OwnSequenceData(SequenceData):
    """Schema of a sequence task of the user's own: `name` is the dotted path of a SequenceTask or of an instance."""

    name: str

    @field_validator("name")
    @classmethod
    def name_leads_to_a_task(cls, name: str) -> str:
        try:
            find_instance(name)
        except UserError as error:
            raise PydanticCustomError(OWN, "{says}", {"says": str(error)}) from error
        return name

    @property
    def task(self) -> Any:
        return find_instance(self.name)

    @property
    def minimum_length(self) -> int:
        return getattr(self.task, "minimum_length", 1)

    @property
    def holds_out(self) -> bool:
        return self.task.holds_out(self.sequence_length)

    @property
    def has_vectors(self) -> bool:
        return getattr(self.task, "features", None) is not None


class OwnMarkedSequenceData(OwnSequenceData):
    """Schema of such a task that has targets at marked positions."""

    fitting_task: ClassVar[str | None] = "sequence_transducer"


class OwnRegressionSequenceData(OwnSequenceData):
    """Schema of such a task that has a real target."""

    fitting_task: ClassVar[str | None] = "sequence_regressor"


def own_sequence_data(path: str) -> type[OwnSequenceData]:
    """Return the schema of the sequence task that a dotted path names; a wrong path is left to the schema."""
    try:
        task = find_instance(path)
    except UserError:
        return OwnSequenceData
    if getattr(task, "marked", False):
        return OwnMarkedSequenceData
    return OwnRegressionSequenceData if getattr(task, "regression", False) else OwnSequenceData
