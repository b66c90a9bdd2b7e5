"""The built-in tasks with targets at marked positions, by the names that `data.name` takes."""

from lightning_dl2.data.sequences.formal.context_free import (
    ModularArithmeticBrackets,
    ReverseString,
    SolveEquation,
    StackManipulation,
)
from lightning_dl2.data.sequences.formal.context_sensitive import (
    BinaryAddition,
    BinaryMultiplication,
    BucketSort,
    ComputeSqrt,
    DuplicateString,
    MissingDuplicate,
    OddsFirst,
)
from lightning_dl2.data.sequences.formal.regular import CycleNavigation, EvenPairs, ModularArithmetic, ParityCheck
from lightning_dl2.data.sequences.sequence_task import SequenceTask

MARKED_TASKS: dict[str, SequenceTask] = {
    "parity_check": ParityCheck(),
    "even_pairs": EvenPairs(),
    "cycle_navigation": CycleNavigation(),
    "modular_arithmetic": ModularArithmetic(),
    "reverse_string": ReverseString(),
    "modular_arithmetic_brackets": ModularArithmeticBrackets(),
    "stack_manipulation": StackManipulation(),
    "solve_equation": SolveEquation(),
    "duplicate_string": DuplicateString(),
    "missing_duplicate": MissingDuplicate(),
    "odds_first": OddsFirst(),
    "bucket_sort": BucketSort(),
    "binary_addition": BinaryAddition(),
    "binary_multiplication": BinaryMultiplication(),
    "compute_sqrt": ComputeSqrt(),
}
