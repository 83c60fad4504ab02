import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import fake_records as fake
import pytest

from harness.report import figures, metrics
from harness.report.write import Source, write

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)> & "quotes"'
TINY = fake.Grid(
    lengths=(32, 64),
    cells=("lstm",),
    tasks=("adding",),
    blocks=1,
    measurements=("speed", "gradients"),
)


FAILING = fake.with_failures(TINY)


def figure_keys():
    return [drawing.key for drawing in figures.draw(metrics.frame(FAILING), FAILING)]


def source(records, **changes):
    made = Source(
        "quick", "a first look", 'name = "quick"\n', tuple(records), 0, "bptt sweep quick"
    )
    return replace(made, **changes)


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)

    def data(self):
        return json.loads(re.search(r'id="data">(.*?)</script>', self.text, re.DOTALL)[1])


def page(folder, records, **changes):
    return Page(write([source(records, **changes)], folder).read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("report")
    write([source(FAILING)], made)
    return made


@pytest.fixture(scope="module")
def index(folder):
    return Page((folder / "index.html").read_text("utf-8"))


def test_every_figure_lies_beside_the_page_in_both_forms_with_its_numbers(folder, index):
    keys = [attrs["id"].removeprefix("figure-") for tag, attrs in index.tags if tag == "figure"]
    assert keys == figure_keys()
    for key in keys:
        assert (folder / f"figures/{key}.svg").read_text("utf-8").startswith("<?xml")
        assert (folder / f"figures/{key}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"tables/figure-{key}.csv").stat().st_size > 0


def test_every_link_leads_to_a_file_or_a_place_on_the_page(folder, index):
    ids = {attrs["id"] for _, attrs in index.tags if "id" in attrs}
    links = [attrs["href"] for tag, attrs in index.tags if tag == "a"]
    broken = [
        link
        for link in links
        if not (link[1:] in ids if link.startswith("#") else (folder / link).is_file())
    ]
    assert broken == []


def test_the_csv_holds_base_units_under_headings_that_name_them(folder):
    rows = list(csv.DictReader((folder / "tables/speed.csv").read_text("utf-8").splitlines()))
    row = next(r for r in rows if r["sequence_length"] == "64")
    seconds, step = float(row["seconds_per_sequence"]), float(row["seconds_per_step"])
    assert step == pytest.approx(seconds / 64 / fake.BATCH)


def test_the_table_for_latex_is_one(folder):
    assert (folder / "tables/speed.tex").read_text("utf-8").startswith("\\begin{tabular}{")


def test_the_markdown_links_its_figures(folder):
    text = (folder / "report.md").read_text("utf-8")
    links = re.findall(r"\]\((figures/[^)]*)\)", text)
    assert links == [f"figures/{key}.svg" for key in figure_keys()]
    assert all((folder / path).is_file() for path in links)


def test_no_half_written_file_is_left(folder):
    assert [path for path in folder.rglob("*") if path.name.startswith(".")] == []


def test_the_page_asks_for_nothing(index):
    asking = [tag for tag, attrs in index.tags if "src" in attrs or tag in ("iframe", "object")]
    links = [attrs["href"] for tag, attrs in index.tags if tag == "link"]
    assert (asking, links) == ([], ["data:,"])


def test_the_policy_forbids_all_but_our_own_style_and_script(index):
    policy = next(a["content"] for t, a in index.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_no_element_has_a_style_of_its_own(index):
    # The policy would ignore it, silently.
    assert [tag for tag, attrs in index.tags if "style" in attrs] == []


def test_ids_are_unique(index):
    ids = [attrs["id"] for _, attrs in index.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_trial_is_in_the_page(index):
    records = fake.with_failures(TINY)
    assert len(index.data()["rows"]) == len(records)


def test_a_short_sweep_says_so(index):
    assert "A short sweep: 1 block a comparison." in index.text


@pytest.mark.parametrize("place", ["name", "description", "sweep_toml", "command"])
def test_the_words_of_a_source_are_escaped(tmp_path, place):
    made = page(tmp_path, [], **{place: EVIL})
    assert (made.count("script"), made.count("img")) == (2, 0)  # our data and our script


def test_the_words_of_a_record_are_escaped(tmp_path):
    evil = replace(fake.IMPLEMENTATIONS[1], label=EVIL)
    speed = fake.trial("speed", evil)
    records = [
        fake.record(fake.trial("speed")),
        fake.record(speed, values=fake.values(speed), node=EVIL),
        fake.record(
            fake.trial("memory", evil), status="failed", reason=EVIL, advice=EVIL, values={}
        ),
    ]
    made = page(tmp_path, records)
    assert (made.count("script"), made.count("img")) == (2, 0)
    assert EVIL in [cell for row in made.data()["rows"] for cell in row]
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert "<script" not in markdown.replace("\\<", "")


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        write([source(fake.records(replace(TINY, measurements=("gradients",))))], tmp_path / name)
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }
        for name in ("one", "other")
    )
    assert len(one) > 10
    assert one == other


def test_a_sweep_without_records_has_a_page_that_says_so(tmp_path):
    assert "Nothing has run yet" in page(tmp_path, []).text


def test_a_sweep_in_which_all_failed_lists_why(tmp_path):
    records = [
        replace(r, status="failed", reason="no such kernel", advice="report it", values={})
        for r in fake.records(TINY)
    ]
    made = page(tmp_path, records)
    assert "no such kernel" in made.text
    assert f"0 of {len(records)} trials" in made.text
    assert made.count("figure") == 0


@pytest.mark.parametrize(
    "grid",
    [replace(TINY, lengths=(1,)), replace(TINY, measurements=("training",))],
    ids=["one length, of one step", "training alone"],
)
def test_a_narrow_sweep_has_a_report(tmp_path, grid):
    assert page(tmp_path, fake.records(grid)).count("figure") > 0


def test_folders_of_one_name_stay_apart(tmp_path):
    twice = [source(fake.records(replace(TINY, measurements=("memory",)))) for _ in range(2)]
    text = write(twice, tmp_path).read_text("utf-8")
    assert "quick · quick (2)" in text
    rows = list(csv.DictReader((tmp_path / "tables/memory.csv").read_text("utf-8").splitlines()))
    assert {row["results"] for row in rows} == {"quick", "quick (2)"}


def test_without_scripts_the_first_hundred_trials_are_there(tmp_path):
    grid = replace(TINY, lengths=range(8, 52, 2), measurements=("memory",))
    failed = [replace(r, status="failed", reason="x", values={}) for r in fake.records(grid)]
    made = page(tmp_path, failed)
    body = made.text[made.text.index('<table id="all">') :]
    assert body[: body.index("</table>")].count("<tr>") == 1 + 100
    assert len(made.data()["rows"]) == 110


@pytest.mark.parametrize(("made", "there"), [(fake.records, False), (fake.with_failures, True)])
def test_a_column_without_a_word_or_number_is_not_shown(tmp_path, made, there):
    data = page(tmp_path, made(replace(TINY, measurements=("speed", "gradients")))).data()
    keys = [column["key"] for column in data["columns"]]
    assert ("reason" in keys) == there
    assert "final_score" not in keys


def test_the_page_and_the_markdown_say_how_to_get_the_code_again(folder, index):
    assert "git checkout 0123abc\npip install -c constraints.txt -e ." in index.text
    assert "git checkout 0123abc\npip install" in (folder / "report.md").read_text("utf-8")
