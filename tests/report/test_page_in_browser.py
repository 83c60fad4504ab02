import csv
import shutil
from dataclasses import replace
from pathlib import Path

import fake_records as fake
import pytest
from playwright.sync_api import sync_playwright

from harness.report.units import SECONDS
from harness.report.write import Source, write
from harness.trial import PASSES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-background-networking"]
GRID = fake.Grid(
    lengths=(32, 64),
    cells=("elman", "lstm"),
    tasks=("adding",),
    blocks=2,
    measurements=("speed", "gradients"),
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    source = Source("quick", "", "", tuple(fake.with_failures(GRID)), 0, "bptt sweep quick")
    return write([source], tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(params=["light", "dark"])
def page(request, browser, index):
    """Open the page; after the test, nothing was asked for and nothing complained."""
    opened = browser.new_page(color_scheme=request.param, viewport={"width": 1280, "height": 900})
    asked, complaints = [], []
    opened.on("request", lambda made: asked.append(made.url))
    opened.on("console", lambda said: complaints.append(said.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(index.as_uri())
    yield opened
    opened.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith((index.as_uri(), "blob:"))] == []


def timed(cell, length):
    """Return the speed records that are done at one point, as the filter should find them."""
    return [
        record
        for record in fake.with_failures(GRID)
        if (record.status, record.trial.measurement) == ("done", "speed")
        and (record.trial.cell.use, record.trial.sequence_length) == (cell, length)
    ]


def cells(page, heading):
    headings = page.locator("#all thead th").all_inner_texts()
    place = next(i for i, text in enumerate(headings) if text.startswith(heading))
    return page.locator(f"#all tbody tr td:nth-child({place + 1})").all_inner_texts()


def test_the_text_of_every_figure_is_seen_against_the_paper(page):
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    labels = page.locator("figure svg text")
    assert labels.count() > 50
    fills = labels.evaluate_all("all => all.map(text => getComputedStyle(text).fill)")
    assert paper not in fills
    assert all(fill.startswith("rgb") for fill in fills)
    widths = labels.evaluate_all("all => all.map(text => text.getBoundingClientRect().width)")
    assert min(widths) > 0


def test_lines_wear_the_colours_of_the_theme(page):
    blue = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--blue')")
    drawn = page.locator("#figure-time-ratio svg path").evaluate_all(
        "all => [...new Set(all.map(path => getComputedStyle(path).stroke))]"
    )
    red, green, mixed = (int(blue.strip()[i : i + 2], 16) for i in (1, 3, 5))
    assert f"rgb({red}, {green}, {mixed})" in drawn


def test_a_filter_keeps_what_matches(page):
    page.fill("#filter", "lstm T>=64 status=done measurement=speed")
    assert set(cells(page, "cell")) == {"lstm"}
    assert set(cells(page, "T")) == {"64"}
    assert page.inner_text("#matches") == f"{len(timed('lstm', 64))} of 80"


def test_a_word_matches_anywhere_in_a_row(page):
    page.fill("#filter", "alert(1)")
    assert cells(page, "status") == ["failed"]


def test_sorting_by_a_number_is_by_size(page):
    page.fill("#filter", "measurement=speed status=done")
    page.get_by_role("button", name="T", exact=True).click()
    lengths = [int(text) for text in cells(page, "T")]
    assert lengths == sorted(lengths)
    page.get_by_role("button", name="T ↑").click()
    assert [int(text) for text in cells(page, "T")] == sorted(lengths, reverse=True)


def test_the_script_writes_units_as_python_does(page):
    page.fill("#filter", "measurement=speed status=done")
    seen = dict(zip(cells(page, "trial"), cells(page, "time per sequence"), strict=True))
    want = {
        record.trial.id: SECONDS.text(sorted(record.values["sample_seconds"])[10])
        for record in fake.with_failures(GRID)
        if record.trial.id in seen
    }
    close = [i for i in want if seen[i].split()[1] == want[i].split()[1]]
    assert len(close) == len(want) > 30


def test_the_view_is_in_the_address_and_comes_back(page):
    page.fill("#filter", "elman T=32")
    page.get_by_role("button", name="measurement").click()
    before = page.locator("#all tbody").inner_text()
    assert "q=elman+T%3D32&sort=measurement" in page.url
    page.goto("about:blank")
    page.go_back()
    assert page.input_value("#filter") == "elman T=32"
    assert page.locator("#all tbody").inner_text() == before


def test_the_csv_of_the_view_holds_the_view_in_base_units(page):
    page.fill("#filter", "lstm T=64 measurement=speed status=done")
    with page.expect_download() as download:
        page.click("#csv")
    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8").splitlines()))
    assert {row["id"] for row in rows} == {record.trial.id for record in timed("lstm", 64)}
    assert all(1e-3 < float(row["seconds_per_sequence"]) < 0.1 for row in rows)


def test_the_button_overrules_the_machines_theme(page):
    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    papers = [paper()]
    for _ in range(2):
        page.click("#theme")
        papers.append(paper())
    assert papers[0] in papers[1:]
    assert papers[1] != papers[2]


def test_a_narrow_window_scrolls_figures_not_the_page(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_no_reason_is_cut_off_in_a_window_of_common_width(browser, tmp_path):
    grid = replace(GRID, tasks=("adding", "speeches"), measurements=PASSES, blocks=1)
    long = [
        replace(record, reason=f"{record.reason} {'and more ' * 20}") if record.reason else record
        for record in fake.with_failures(grid)
    ]
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(write([Source("long", "", "", tuple(long), 0, "")], tmp_path).as_uri())
    room = opened.get_by_role("region", name="every trial")
    width, visible = room.evaluate("one => [one.scrollWidth, one.clientWidth]")
    opened.close()
    assert width <= visible


def test_without_scripts_figures_and_trials_are_there(browser, index):
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(index.as_uri())
    assert opened.locator("figure svg").first.is_visible()
    assert opened.locator("#all tbody tr").count() == len(list(fake.trials(GRID)))
    assert not opened.locator("#filter").is_visible()
    context.close()


def test_a_page_of_ten_thousand_trials_filters(browser, tmp_path):
    one = fake.record(fake.trial("memory"), status="failed", reason="x", values={})
    many = [replace(one, trial=replace(one.trial, seed=seed)) for seed in range(10_000)]
    opened = browser.new_page()
    opened.goto(write([Source("many", "", "", tuple(many), 0, "")], tmp_path).as_uri())
    opened.fill("#filter", many[7].trial.id)
    assert opened.inner_text("#matches") == "1 of 10,000"
    opened.close()
