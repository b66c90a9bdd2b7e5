"""Test the page in a real browser: clicks, typing and reading, without network."""

import json
import shutil

import pytest

from lightning_dl2.report import main
from tests.reporting.made_up import PNG, made_up_run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "</pre><script>document.title = 'mine'</script><img src=x onerror=\"document.title = 'mine'\">"

pytestmark = [pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine"), pytest.mark.slow]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for number, size in enumerate((4, 5, 6, 7, 8, 9, 10, 11)):
        for seed in range(2):
            losses = (2.0, 1.0 - number / 10 + seed / 100)
            made_up_run(root, f"task.hidden_size={size}", seed=seed, losses=losses, accuracy=0.5 + number / 20)
    made_up_run(root, "task.hidden_size=99", status="failed", error=f"Error: {HOSTILE}")
    made_up_run(root, "experiment=text", samples=f"ROMEO: what is\n{HOSTILE}")
    (made_up_run(root, "experiment=baum_sweet") / "config.yaml").write_text("a: [")
    for dropout in ("0.2", "0.05", "1e-05", "0.1", "0.003"):
        made_up_run(root, "experiment=random_combinations", f"task.dropout={dropout}")
    (root / "analysis").mkdir()
    (root / "analysis" / "spreading.png").write_bytes(PNG)
    out = root / "page" / "report.html"
    assert main([str(root), f"out={out}"]) == 0
    return out


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, page_file):
    """Open the page; check at the end that nothing was fetched and no error was reported."""
    contexts, requests, errors = [], [], []

    def open_page(file=page_file, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert errors == []


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for task in ("parity_check", "reverse_string"):
        for number, cell in enumerate(("rnn", "lstm")):
            made_up_run(root, f"experiment=chomsky/{task}", f"task.cell={cell}", at={50: 1.0, 500: 0.5 + number / 2})
    assert main([str(root), f"out={root / 'report.html'}", "details=0"]) == 0
    return root / "report.html"


def column(page, number):
    rows = page.locator("#e1-table tbody tr:visible")
    return [rows.nth(row).locator("th, td").nth(number).inner_text() for row in range(rows.count())]


def test_the_best_stands_first_and_a_click_sorts(visit):
    page = visit()
    assert page.locator("h2").first.inner_text() == "palindrome"
    assert column(page, 0) == [str(number) for number in range(1, 10)]
    assert column(page, 1)[0] == "11" and column(page, 2)[-1] == "0 + 1 failed"
    heading = page.locator("#e1-table thead th", has_text="test/accuracy")
    heading.get_by_role("button").click()
    ascending = column(page, 4)
    assert [float(text) for text in ascending[:-1] if "±" not in text] == []
    means = [float(text.split(" ± ")[0]) for text in ascending[:-1]]
    assert means == sorted(means) and means[0] < means[-1] and ascending[-1] == ""  # blanks come last
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    descending = column(page, 4)
    assert [float(text.split(" ± ")[0]) for text in descending[:-1]] == means[::-1] and descending[-1] == ""
    assert heading.get_attribute("aria-sort") == "descending"


def test_names_with_numbers_sort_by_them(visit):
    page = visit()
    page.locator("#e1-table thead th button").nth(1).click()
    assert column(page, 1) == [str(size) for size in (4, 5, 6, 7, 8, 9, 10, 11, 99)]


def test_names_with_fractions_sort_by_them(visit):
    page = visit()
    page.locator("#e2-table thead th button").nth(1).click()
    dropouts = ["1e-05", "0.003", "0.05", "0.1", "0.2"]
    assert [row.inner_text() for row in page.locator("#e2-table tbody td.choice").all()] == dropouts


def test_the_keyboard_alone_is_enough(visit):
    page = visit()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "runs":
            break
    page.keyboard.press("Enter")
    assert column(page, 2)[0] == "0 + 1 failed"
    page.locator("#e1-table tbody a").first.focus()
    page.keyboard.press("Enter")
    page.locator("#e1 > details[open]").wait_for()  # the browser needs time to open it
    assert page.locator("#e1 > details[open]").count() == 1


def test_lines_are_found(visit):
    page = visit()
    page.get_by_label("Show lines with").fill("size=1")
    assert column(page, 1) == ["11", "10"]
    assert page.locator("output").first.inner_text() == "2 of 9"


def test_a_variant_tells_its_runs_when_it_is_clicked(visit):
    page = visit()
    page.locator("#e1-table tbody a[aria-label$='hidden_size=99']").click()
    detail = page.locator("#e1 > details[open]")
    assert detail.locator("td.failed").inner_text() == "failed"
    assert HOSTILE in detail.inner_text()  # the text is shown and not executed
    assert detail.locator("svg").first.bounding_box()["width"] > 200
    assert page.title() == "Runs of lightning_dl2"


def test_samples_are_shown_as_text(visit):
    page = visit()
    page.locator("#e3 > details > summary").click()
    assert page.locator("#e3 pre").inner_text() == f"ROMEO: what is\n{HOSTILE}"
    assert page.title() == "Runs of lightning_dl2"


def test_curves_figures_and_what_was_skipped_are_there(visit):
    page = visit()
    assert page.locator("#e1 > figure svg").count() == 2
    assert page.locator("#e1 > figure .legend li").count() == 7
    assert "best 7 of 9" in page.locator("#e1 > figure figcaption").inner_text()
    image = page.locator("#figures img")
    image.scroll_into_view_if_needed()
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") == 1
    assert "config.yaml is damaged" in page.locator("#skipped li").inner_text()


def test_the_first_screen_has_pictures(visit):
    page = visit(viewport={"width": 1300, "height": 800})
    figures = page.locator(".overview figure")
    assert figures.count() == page.locator("h2", has_not_text="Figures").count() - 1  # one is of skipped runs
    box = figures.first.locator("svg").bounding_box()
    assert box["y"] + box["height"] < 800 and box["width"] > 250
    assert "best: hidden_size=11: test/accuracy 0.85" in figures.first.inner_text()


def test_a_curve_is_read_by_pointing_at_it(visit):
    page = visit(viewport={"width": 1300, "height": 800})
    figure = page.locator("#e1 > figure svg").first
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    told = json.loads(figure.get_attribute("data-points"))
    scale = box["width"] / float(figure.get_attribute("viewBox").split()[2])
    x, y = (told["axes"][axis] for axis in "xy")
    step, mean, _ = told["curves"][0]["points"][1]

    def place(axis, value):
        share = (value - axis["span"][0]) / (axis["span"][1] - axis["span"][0])
        return scale * (axis["points"][0] + share * (axis["points"][1] - axis["points"][0]))

    page.mouse.move(box["x"] + place(x, step) + 1, box["y"] + place(y, mean) + 1)
    tip = page.locator("#tip")
    assert tip.inner_text() == "hidden_size=11, step 20: 0.305 ± 0.0071"
    page.mouse.move(box["x"] - 5, box["y"] - 5)
    assert tip.is_hidden()


@pytest.mark.parametrize("width", [1300, 360])
def test_a_field_of_the_matrix_leads_to_its_curve_and_back(visit, map_file, width):
    page = visit(map_file, viewport={"width": width, "height": 740})
    assert page.locator("h2").first.inner_text() == "test/accuracy_beyond: data.name × task.cell"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    field = page.locator(".map td.all a").first
    assert field.inner_text().split() == ["●", "1.000"] and page.locator(".field:visible").count() == 0
    field.focus()
    page.keyboard.press("Enter")  # a click does the same
    panel = page.locator(".field:visible")
    panel.wait_for()
    assert panel.locator("h3").inner_text().startswith("parity_check × lstm") and "1,234" in panel.inner_text()
    box = panel.locator("svg").bounding_box()
    assert box["width"] > 250 and 0 <= box["x"] and box["x"] + box["width"] <= width and box["y"] + box["height"] < 740
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    page.wait_for_function("document.activeElement.matches('.map td.all a')")


@pytest.mark.parametrize("width", [1300, 390])
def test_a_wide_table_says_that_there_is_more(visit, width):
    page = visit(viewport={"width": width, "height": 800})
    wide = page.locator("#e1 > .wide")
    page.evaluate("document.querySelector('#e1-table').style.minWidth = '1500px'; dispatchEvent(new Event('resize'))")
    hint = page.locator("#e1 > .hint")
    assert "More columns to the right" in hint.inner_text()
    assert wide.evaluate("wide => getComputedStyle(wide, '::after').opacity") == "1"
    wide.locator(".scroll").evaluate("box => { box.scrollLeft = 5000; }")
    hint.get_by_text("more columns to the left").wait_for()
    assert wide.evaluate("wide => getComputedStyle(wide, '::after').opacity") == "0"
    page.evaluate("document.querySelector('#e1-table').innerHTML = ''; dispatchEvent(new Event('resize'))")
    assert hint.is_hidden()


def test_light_and_dark(visit):
    def brightness(page):
        colours = [page.evaluate(f"getComputedStyle(document.body).{key}") for key in ("backgroundColor", "color")]
        return [sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) for colour in colours]

    for scheme, paper_is_lighter in (("light", True), ("dark", False)):
        page = visit(color_scheme=scheme)
        paper, ink = brightness(page)
        assert (paper > ink) == paper_is_lighter and abs(paper - ink) > 500
        page.locator("#theme").click()
        paper, ink = brightness(page)
        assert (paper > ink) != paper_is_lighter and abs(paper - ink) > 500
        text = page.locator("#e1 > figure svg text").first  # figures follow the theme
        body = page.evaluate("getComputedStyle(document.body).color")
        assert text.evaluate("text => getComputedStyle(text).fill") == body


def test_a_phone_shows_it_all(visit):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#e1 .scroll").first.evaluate("box => box.scrollWidth > box.clientWidth")  # not the page
    assert page.locator("#e1 > figure svg").first.bounding_box()["width"] > 300


def test_without_scripts_it_can_be_read(visit):
    page = visit(java_script_enabled=False)
    assert column(page, 1)[0] == "11"
    assert page.locator("#theme").is_hidden() and page.locator(".filter").first.is_hidden()
