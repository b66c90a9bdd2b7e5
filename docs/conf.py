"""Configure the site of the documentation: `sphinx-build -W docs docs/_build`.

The build needs no network. `-t online` adds links from the API reference to Python, PyTorch, Lightning and NumPy, whose
inventories it downloads; `-b linkcheck` follows all links to other sites.
"""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import lightning_dl2  # noqa: E402

project = "lightning_dl2"
copyright = "the authors of lightning_dl2, MIT licence"
release = version = lightning_dl2.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lightning_dl2 {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

# Markdown that reads on GitHub, too: links to headings by GitHub's names for them.
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"

# Docstrings have Google's sections. A name in single backticks is code, not a cross reference.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Lightning's own docstrings refer to pages that are not here
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

if tags.has("online"):  # noqa: F821 - Sphinx gives `tags`
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "lightning": ("https://lightning.ai/docs/pytorch/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
    }

# Pages of the site whose text is that of a file at the top of the repository.
PAGES = {"index": "README.md", "contributing": "CONTRIBUTING.md"}
SECTIONS = re.compile(r"(Args|Attributes|Examples?|Keyword Args|Note|Raises|Returns|Source|Yields):$")
BARS = re.compile(r"\|(?=[^`]*(?:`[^`]*`[^`]*)*$)")  # outside of backticks; else they would name a substitution


def show_top_files(app: Any, page: str, source: list[str]) -> None:
    """Show the files of `PAGES` in the place of their pages, with the pages' tables of contents; lead links there."""
    text = source[0]
    if page in PAGES:
        contents = "".join(re.findall(r"^```{toctree}.*?^```\n\n?", text, re.MULTILINE | re.DOTALL))
        text = (ROOT / PAGES[page]).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|#)([^)]*)\)", lambda link: f"]({_below_docs(link[1])})", text) + "\n" + contents
    for name, file in PAGES.items():
        up = "../" * page.count("/")
        text = text.replace(f"](../{up}{file}", f"]({up}{name}.md")
    source[0] = text


def _below_docs(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"


def mark_code(app: Any, what: str, name: str, subject: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of a docstring: indented blocks outside of Google's sections are code, bars are bars."""
    made: list[str] = []
    text_before = ""  # the last line that is not indented
    for line in lines:
        if line.strip() and not line.startswith(" "):
            made += [""] * (bool(made) and made[-1].startswith("    "))
            text_before = line
        is_code = line.startswith("    ") and not SECTIONS.match(text_before)
        if is_code and not (made and (not made[-1].strip() or made[-1].startswith("    "))):
            made.append("")
        if is_code and next((text for text in reversed(made) if text.strip()), "") == text_before:
            made += ["::", ""]
        made.append(line if is_code else BARS.sub(r"\\|", line))
    lines[:] = made


def setup(app: Any) -> None:
    app.connect("source-read", show_top_files)
    app.connect("autodoc-process-docstring", mark_code, priority=400)  # before napoleon
