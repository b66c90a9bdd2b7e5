"""The built-in tasks with targets at marked positions or a real target, by the names that `data.name` takes."""

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
from lightning_dl2.data.sequences.formal.recall import (
    AddingProblem,
    AssociativeRecall,
    CopyingMemory,
    InductionHeads,
    SelectiveCopying,
)
from lightning_dl2.data.sequences.formal.recognition import (
    Dyck,
    EqualBlocks,
    First,
    Majority,
    MarkedReversal,
    UnmarkedReversal,
)
from lightning_dl2.data.sequences.formal.regular import CycleNavigation, EvenPairs, ModularArithmetic, ParityCheck
from lightning_dl2.data.sequences.formal.tracking import WordProblem, cyclic, symmetric
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
    "marked_reversal": MarkedReversal(),
    "unmarked_reversal": UnmarkedReversal(),
    "dyck_1": Dyck(kinds=1),
    "dyck_2": Dyck(kinds=2),
    "a_n_b_n": EqualBlocks(blocks=2),
    "a_n_b_n_c_n": EqualBlocks(blocks=3),
    "majority": Majority(),
    "first_bit": First(),
    "word_problem_z2": WordProblem(cyclic(2)),
    "word_problem_z60": WordProblem(cyclic(60)),
    "word_problem_s3": WordProblem(symmetric(3)),
    "word_problem_a5": WordProblem(symmetric(5, even=True)),
    "word_problem_s5": WordProblem(symmetric(5)),
    "copying_memory": CopyingMemory(),
    "selective_copying": SelectiveCopying(),
    "associative_recall": AssociativeRecall(),
    "induction_heads": InductionHeads(),
}

REGRESSION_TASKS: dict[str, SequenceTask] = {"adding_problem": AddingProblem()}
