"""Name the small nets that the analyses of linear cells train without a run: they learn parity at each position."""

from lightning_dl2.analysis.expressivity.readers import SMALL

CELLS: dict[str, str] = {  # as `task.cell` takes them
    "s6": "{_target_: lightning_dl2.nets.recurrent.cells.S6, state_size: 4}",
    "s6_signed": "{_target_: lightning_dl2.nets.recurrent.cells.SignedS6, state_size: 4}",
    "gated_deltanet": "gated_deltanet",
    "gated_deltanet_signed": "gated_deltanet_signed",
    "lru": "lru",
    "mingru": "mingru",
    "lstm": "lstm",
}
WORDS = (
    *("experiment=tracking/word_problem_z2", "task.hidden_size=16", "optimizer.learning_rate=5e-3"),
    *("data.batch_size=64", "data.validation_size=256", "data.curriculum.enabled=false", "task.forget_bias=null"),
    *SMALL,
)


def parity_words(cell: str, max_steps: int) -> tuple[str, ...]:
    """Return the overrides by which a net with a cell of CELLS is trained."""
    return (*WORDS, f"task.cell={CELLS[cell]}", f"trainer.max_steps={max_steps}")
