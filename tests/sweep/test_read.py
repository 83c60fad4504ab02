"""A bad sweep file is refused with line, key, what is allowed and a hint; all mistakes at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from sweeps import SMALL, mistakes_of, sweep_of

from harness.registry import ConfigurationError, Registry
from harness.sweep import PRESETS, draft, open_draft, read
from harness.trial import Choice


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "depth = [8, 16]",
            "dpeth = 8",
            'implementation[1].dpeth: truncated_bptt has no such parameter; did you mean "depth"? '
            "It takes: stride, depth",
        ),
        (
            "depth = [8, 16]",
            "depth = [16, 1.5]",
            "implementation[1].depth[1]: truncated_bptt: 1.5 is not of type int",
        ),
        (
            "depth = [8, 16]",
            "depth = 4",
            "implementation[1].gradient: truncated_bptt(stride=8, depth=4): "
            "depth (4) must be at least stride (8): a window goes back through all of its own",
        ),
        (
            '"elman", "lstm"',
            '"elmn", "lstm"',
            'axes.cell[0]: there is no cell "elmn"; did you mean "elman"? There are: ',
        ),
        (
            "[16, 8]",
            "[]",
            "axes.sequence_length: the list is empty, so there would be nothing to run",
        ),
        ("[16, 8]", "[16, 0]", "axes.sequence_length[1]: 0 is not above 0"),
        ("[16, 8]", "[16, 16]", "axes.sequence_length: 16 is there twice"),
        ("[16, 8]", '"a lot"', 'is not a number, a list, or a range like "2^6..2^11"'),
        (
            'device = "cpu"',
            'dtype = "flaot32"',
            "axes.dtype: 'flaot32' is not known; did you mean \"float32\"? "
            "It can be: float32, float64, bfloat16",
        ),
        (
            'device = "cpu"',
            "batch_sise = 3",
            'axes.batch_sise: there is no such key; did you mean "batch_size"?',
        ),
        (
            "blocks = 2",
            "blocks = { sped = 2 }",
            'sweep.blocks.sped: there is no such measurement; did you mean "speed"?',
        ),
        ("blocks = 2", "blocks = 0", "sweep.blocks: 0 is not a whole number above 0"),
        ("blocks = 2", 'seed = "a"', "sweep.seed: 'a' is not a whole number"),
        ('"small"', '"no folder/"', "sweep.name: 'no folder/' must name a folder"),
        (
            "baseline = true",
            "baseline = 1",
            "implementation[0].baseline: 1 is not true or false",
        ),
        (
            'name = "full"',
            'name = "native + norm(max_norm=1.0)"',
            'called "native + norm(max_norm=1.0)" already; give one of them another name',
        ),
        ("max_norm = 1", "max_norm = -1", "norm(max_norm=-1.0): max_norm must be above 0"),
        ("schema = 1", "schema = 7", "schema: is 7; this version reads sweeps that begin with"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_way_out(old: str, new: str, sentence: str) -> None:
    text = SMALL.replace(old, new)
    (told,) = mistakes_of(text)
    assert sentence in told
    if "called" not in sentence:
        assert told.startswith(f"small.toml:{line_of(text, new)}: ")


def test_a_parameter_is_named_as_in_the_mock_up() -> None:
    text = SMALL.replace("depth = [8, 16]", "dpeth = 8")
    assert mistakes_of(text) == [
        "small.toml:15: implementation[1].dpeth: truncated_bptt has no such parameter; "
        'did you mean "depth"? It takes: stride, depth'
    ]


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        SMALL.replace("[16, 8]", "[]")
        .replace("depth = [8, 16]", "dpeth = 8")
        .replace('"adding"', '"ading"')
        .replace("baseline = true", "baseline = false")
        + '[[exclude]]\ncel = "lstm"\n[limits]\nmemory = "8 gigs"\n'
        + "[measure.speed]\nmin_sample = 3\n"
    )
    told = mistakes_of(text)
    lines = [int(sentence.split(":")[1]) for sentence in told]
    assert len(told) == 8
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("removed", "sentence"),
    [
        ("baseline = true\n", "none is the baseline; add to one of them: baseline = true"),
        ("schema = 1\n", "is missing; this version reads sweeps that begin with: schema = 1"),
        ('cell = ["elman", "lstm"]\n', 'axes.cell: is missing; write, for example: cell = "lstm"'),
    ],
)
def test_what_is_missing_is_told(removed: str, sentence: str) -> None:
    (told,) = mistakes_of(SMALL.replace(removed, ""))
    assert sentence in told


def test_what_is_missing_is_told_with_the_line_of_its_table() -> None:
    (told,) = mistakes_of(SMALL.replace('task = "adding"\n', ""))
    line = line_of(SMALL, "[axes]")
    assert told == f'small.toml:{line}: axes.task: is missing; write, for example: task = "adding"'
    (told,) = mistakes_of(SMALL.replace('gradient = "full_bptt"\n', ""))
    assert told.endswith('is missing; write, for example: gradient = "full_bptt"')


def test_a_file_without_its_tables_is_told_what_they_say() -> None:
    axes, implementations = mistakes_of("schema = 1\n")
    assert axes.startswith("small.toml: axes: is missing; write, for example: [axes] with")
    assert implementations.endswith('[[implementation]] with gradient = "full_bptt"')


def test_a_second_baseline_is_refused() -> None:
    (told,) = mistakes_of(SMALL + "baseline = true\n")
    assert "implementation[0] is the baseline already" in told


def test_a_list_cannot_make_several_baselines() -> None:
    text = SMALL.replace("baseline = true\n", "").replace("[8, 16] }", "[8, 16] }\nbaseline = true")
    (told,) = mistakes_of(text)
    assert "its lists make 2 baselines" in told


def test_the_same_implementation_twice_is_refused_whatever_it_is_called() -> None:
    (told,) = mistakes_of(SMALL + '[[implementation]]\nname = "again"\ngradient = "full_bptt"\n')
    assert "again is the same as implementation[0]; drop one" in told


def test_a_default_written_out_is_the_same_implementation() -> None:
    (told,) = mistakes_of(
        SMALL + '[[implementation]]\ngradient = { use = "truncated_bptt", stride = 8 }\n'
    )
    assert "is the same as implementation[1]" in told


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('cell = "lstm"', 'it needs a reason: reason = "why"'),
        ('reason = "why"', "it names no trials, so it would exclude all"),
        ('cel = "lstm"\nreason = "why"', "there is no 'cel' to compare; did you mean \"cell\"?"),
        ('cell = ">= lstm"\nreason = "why"', "cell is a name: it can be = or !=, not >="),
        ('hidden_size = "> x"\nreason = "why"', "'x' is not a number or a comparison"),
    ],
)
def test_a_bad_exclude_is_told(table: str, sentence: str) -> None:
    (told,) = mistakes_of(f"{SMALL}[[exclude]]\n{table}\n")
    assert sentence in told


def test_a_mistake_of_a_flag_names_the_flag() -> None:
    assert mistakes_of(SMALL, "blocks=0") == ["--set blocks: 0 is not a whole number above 0"]


def test_a_flag_without_a_known_key_gets_a_suggestion() -> None:
    (told,) = mistakes_of(SMALL, "bloks=3")
    assert told.startswith('--set bloks=3: there is no such key; did you mean "blocks"?')


def test_a_flag_overrules_the_file() -> None:
    got = sweep_of(SMALL, "sequence_length=2^3..2^5", "cell=gru", "limits.memory=1GiB", "name=x")
    assert got.axes.sequence_length == (8, 16, 32)
    assert got.axes.cells == (Choice("gru"),)
    assert (got.limits.memory_bytes, got.name) == (2**30, "x")


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"small\.toml:2: not valid TOML"):
        draft.read("schema = 1\n[axes\n", "small.toml")


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match='there is no preset "quik"; did you mean "quick"'):
        open_draft("quik")


def test_a_list_of_parameters_makes_a_series_each_and_only_there() -> None:
    labels = [one.label for one in sweep_of(SMALL).implementations]
    assert labels == [
        "full",
        "truncated_bptt(stride=8, depth=8)",
        "truncated_bptt(stride=8, depth=16)",
        "native + norm(max_norm=1.0)",
    ]


def test_a_name_keeps_the_parameters_that_tell_its_series_apart() -> None:
    text = SMALL.replace("[8, 16] }", '[8, 16] }\nname = "cut"')
    labels = [one.label for one in sweep_of(text).implementations]
    assert labels[1:3] == ["cut(depth=8)", "cut(depth=16)"]


def test_memory_is_measured_in_one_block_as_it_repeats_exactly() -> None:
    assert sweep_of(SMALL).blocks == {"speed": 2, "memory": 1, "gradients": 2, "training": 2} | {
        "capacity": 1
    }


def test_a_plugin_file_is_found_from_the_sweep_files_folder(tmp_path: Path) -> None:
    clip = "from harness.contract import Clip\n\n\nclass Mine(Clip):\n    pass\n"
    (tmp_path / "my_rule.py").write_text(f'"""Mine."""\n\n{clip}')
    path = tmp_path / "mine.toml"
    path.write_text(
        'plugins = ["my_rule.py"]\n' + SMALL.replace('{ use = "norm", max_norm = 1 }', '"my_rule"')
    )
    found = open_draft(str(path))
    got = read(found, Registry.scan(found.plugins))
    assert got.implementations[-1].clips == (Choice("my_rule"),)
    assert got.plugins == (str(tmp_path / "my_rule.py"),)


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_a_preset_reads(preset: str) -> None:
    text = (PRESETS / f"{preset}.toml").read_text()
    assert sweep_of(text).name == preset


def test_names_and_types_are_checked_without_importing_torch_or_ray() -> None:
    code = (
        "import sys; from sweeps import SMALL, mistakes_of;"
        "told = mistakes_of(SMALL.replace('depth = [8', 'dpeth = [8').replace('elman', 'elmn'));"
        "assert len(told) == 2, told;"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    folder = Path(__file__).parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
