"""Test that figures show texts of the user literally."""

import pytest

from lightning_dl2.common.figures import new_figure, plain, save


@pytest.mark.parametrize(
    ("text", "shown"),
    [(r"$\frac$", None), ("cost $5", None), (r"a\$b$", None), ("caf\udce9\x00.txt", "caf\ufffd\ufffd.txt")],
)
def test_what_the_user_wrote_is_no_formula(tmp_path, text, shown):
    figure = new_figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=plain(text))
    axes.set(xlabel=plain(text), ylabel=plain(text))
    axes.set_xticks([0, 1], [plain(text), "end"])
    axes.legend()
    save(figure, tmp_path / "figure.png")
    drawn, is_formula = axes.xaxis.label._preprocess_math(plain(text))
    assert (drawn, is_formula) == (shown or text, False)
    assert axes.get_ylabel() == axes.get_xlabel() and (tmp_path / "figure.png").stat().st_size
