"""The shell: what every command writes where, as text and as JSON, and how it refuses."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caching.cli import COMMANDS, main
from caching.cli.terminal import Terminal, table
from caching.engine.run import sample
from caching.formats.exporters import EXPORTERS
from caching.formats.importers import IMPORTERS, import_schedule
from caching.measure.changes import mean_change
from caching.measure.fidelity import picture_fidelity
from caching.models.loading import load_model
from caching.policies.threshold import smoothcache
from caching.schedule import Schedule
from tests.caching import foreign, tiny
from tests.caching.shell import cli, done

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A DiT of two blocks as a diffusers folder."""
    path = tmp_path_factory.mktemp("model")
    tiny.save_pipeline(path)
    return path


@pytest.fixture
def sample_file(tmp_path):
    path = tmp_path / "mine.json"
    Schedule.from_rows(["CRRC", "CCRC", "CRRC", "CRRC"]).save(path)
    return path


# -- run -----------------------------------------------------------------------------------


def test_run_writes_the_engines_picture_with_its_recipe(folder, tmp_path):
    target = tmp_path / "out" / "one"
    code, out, err = cli("run", "--model", folder, "--label", 7, "--seed", 3, "--steps", 6,
                         "--method", "fora", "--sampler", "euler", "-o", target)  # fmt: skip
    assert code == 0, err
    assert err == "step: 6\n"
    png, record = target.with_name("one.png"), json.loads(target.with_name("one.json").read_text())
    assert f"wrote {png} and {target.with_name('one.json')}" in out
    model, schedule = load_model(folder), Schedule.every(6, 2, 2)
    run = sample(model, schedule, label=7, seed=3, sampler="euler")
    assert np.array_equal(np.asarray(Image.open(png)), run.image)
    found = import_schedule(png, blocks=2)
    assert found.schedule.actions.tolist() == schedule.actions.tolist()
    assert found.schedule.context.sampler == "euler"
    assert found.request == record["request"]
    assert found.request | {"label": 7, "class": "thing 7", "seed": 3, "steps": 6} == found.request
    assert record["request"]["method"] == {
        "name": "fora",
        "controls": {"interval": 2, "align": "end"},
    }
    assert "guidance 4, FORA, N 2, counted from end" in out
    assert record["cost"]["macs"] == run.cost.macs and len(record["steps"]) == 6
    assert [s["computed"] for s in record["steps"]] == [4, 4, 0, 4, 0, 4]


def test_a_picture_is_a_schedule_for_the_next_run(folder, tmp_path):
    done("run", "--model", folder, "--steps", 5, "--method", "fora", "--set", "interval=3",
         "--set", "align=start", "-o", tmp_path / "a")  # fmt: skip
    out = json.loads(
        done("run", "--model", folder, "--schedule", tmp_path / "a.png", "-o", tmp_path / "b",
             "--json", "--quiet")
    )  # fmt: skip
    assert out["request"]["steps"] == 5
    assert out["schedule"]["rows"]["block 1 mlp"] == "CRRCC"
    pictures = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "ab"]
    assert np.array_equal(*pictures)
    assert out["request"]["method"] is None


def test_run_of_a_policy_records_scores_and_bakes_the_schedule(folder, tmp_path):
    value = json.loads(
        done("run", "--model", folder, "--steps", 6, "--method", "fbcache", "--set",
             "threshold=3", "-o", tmp_path / "p", "--json")
    )  # fmt: skip
    assert value["request"]["policy"] == "FBCache (3)"
    assert value["request"]["method"] == {"name": "fbcache", "controls": {"threshold": 3.0}}
    assert value["schedule"]["step_row"] == "CSSSSS"
    assert value["steps"][0]["score"] is None and value["steps"][1]["limit"] == 3
    assert value["cost"]["work"] < 1


def test_a_method_that_has_to_be_calibrated_is_and_says_so(folder, tmp_path):
    code, _, err = cli("run", "--model", folder, "--steps", 4, "--method", "magcache",
                       "-o", tmp_path / "p")  # fmt: skip
    # Four pictures of four steps, then what was found, then the run itself.
    bar, note, last = err.splitlines()
    assert code == 0 and bar == "full runs: 16" and last == "step: 4"
    assert note.startswith("  The ratios of successive residuals are ")


def test_a_schedule_of_another_step_count_needs_resample(folder, sample_file, tmp_path):
    asked = (
        "run",
        "--model",
        folder,
        "--schedule",
        sample_file,
        "--steps",
        8,
        "-o",
        tmp_path / "x",
    )
    code, out, err = cli(*asked)
    assert (code, out) == (2, "") and "carry it over with --resample." in err
    assert cli("run", "--model", folder, "--method", "fora", "--resample")[0] == 2
    value = json.loads(done(*asked, "--resample", "--json"))
    assert value["request"]["steps"] == 8
    assert value["schedule"]["rows"]["block 0 attn"] == "CCRRRRCC"


# -- compare and trace ---------------------------------------------------------------------


def test_compare_is_one_table_and_the_numbers_are_the_engines(folder, tmp_path):
    asked = ("compare", "--model", folder, "--steps", 6, "--method", "fora", "--set",
             "interval=3", "--repeats", 2)  # fmt: skip
    value = json.loads(done(*asked, "--json", "-o", tmp_path / "c"))
    runs = value["runs"]
    assert list(runs) == ["full", "cached", "fewer"] and value["repeats"] == 2
    assert all(len(run["total_ms"]) == 2 for run in runs.values())
    assert runs["full"]["work"] == 1 and runs["full"]["psnr_db"] is None
    assert runs["cached"]["work"] == pytest.approx(runs["fewer"]["work"], abs=0.1)
    pictures = [np.array(Image.open(tmp_path / f"c-{name}.png")) for name in runs]
    psnr, ssim = picture_fidelity(pictures[1], pictures[0])
    assert runs["cached"]["psnr_db"] == (
        "infinite" if psnr == float("inf") else pytest.approx(psnr)
    )
    assert runs["cached"]["ssim"] == pytest.approx(ssim)
    assert json.loads((tmp_path / "c.json").read_text()) == value
    lines = done(*asked, "--quiet").splitlines()
    header = " ".join(lines[1].split())
    assert header == "steps work ms speed-up PSNR dB SSIM latent error"
    assert [line.split()[0] for line in lines[2:5]] == ["full", "cached", "fewer"]
    assert lines[5].startswith("Times: median of 2 on ")


def test_compare_of_the_full_schedule_is_equal(folder):
    out = done("compare", "--model", folder, "--steps", 3, "--repeats", 0, "-q")
    assert "equal  1.0000        0.0000" in out


def test_smoothcache_reads_full_runs_of_other_pictures(folder):
    value = json.loads(
        done("compare", "--model", folder, "--steps", 5, "--method", "smoothcache", "--set",
             "alpha=0.6", "--repeats", 0, "--json", "-q")
    )  # fmt: skip
    change = mean_change(load_model(folder), steps=5, cfg_scale=4.0, sampler="ddim", lags=4)
    expected = smoothcache(change, 0.6, lookahead=3)
    assert 0 < expected.actions.sum() < 12  # neither nothing nor all of the three steps between
    assert list(value["schedule"]["rows"].values()) == list(expected.rows().values())


def test_trace_csv_holds_the_recorded_changes(folder, tmp_path):
    asked = ("trace", "--model", folder, "--steps", 5, "--lags", 2)
    rows = list(csv.DictReader(io.StringIO(done(*asked))))
    assert len(rows) == 2 * 2 * (4 + 3)
    run = sample(load_model(folder), None, label=0, steps=5, lags=2)
    for row in rows:
        s, block, lag = (int(row[name]) for name in ("step", "block", "lag"))
        r = ("attn", "mlp").index(row["branch"])
        assert float(row["rel_l1"]) == pytest.approx(run.trace.rel_l1[s, block, r, lag - 1], 1e-4)
        assert float(row["cosine"]) == pytest.approx(run.trace.cosine[s, block, r, lag - 1], 1e-4)
        assert float(row["timestep"]) == run.timesteps[s]
    assert done(*asked, "-o", tmp_path / "t.csv") == f"wrote {tmp_path / 't.csv'}\n"
    assert (tmp_path / "t.csv").read_text() == done(*asked)
    value = json.loads(done(*asked, "--json"))
    assert np.shape(value["rel_l1"]) == (5, 2, 2, 2) and value["rel_l1"][0][0][0][0] is None


# -- convert and export --------------------------------------------------------------------


@pytest.mark.parametrize("name", IMPORTERS)
def test_convert_gives_the_schedule_and_reports_beside_it(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(foreign.SAMPLES[name])
    found = import_schedule(path, blocks=2)
    code, out, err = cli("convert", path, "--blocks", 2)
    assert code == 0 and err.splitlines() == list(found.report.sentences)
    assert import_schedule(out.encode()).schedule == found.schedule
    value = json.loads(done("convert", path, "--blocks", 2, "--json"))
    assert value["report"]["computed"] == found.report.computed
    assert done("convert", path, "--blocks", 2, "-o", tmp_path / "o.json").startswith("wrote")
    assert Schedule.load(tmp_path / "o.json") == found.schedule


def test_convert_takes_options_of_the_format(tmp_path):
    path = tmp_path / "r.pt"
    path.write_bytes(foreign.SAMPLES["l2c"])
    low = json.loads(done("convert", path, "--json", "--set", "theta=0.95"))
    assert low["report"]["computed"] == 8
    forced = json.loads(done("convert", path, "--json", "--format", "harmonica"))
    assert forced["report"]["format"] == "harmonica"


@pytest.mark.parametrize("target", EXPORTERS)
def test_export_gives_the_text_and_says_what_is_lost(target, tmp_path, sample_file):
    code, out, err = cli("export", sample_file, target)
    assert code == 0, err
    if target == "cache-dit-yaml":
        assert err.startswith("loss: 3 cells that you do not compute will be computed there, at 2")
    elif target in ("cachebrush", "summary", "smoothcache", "diffusers"):
        assert "Nothing is lost." in err
    value = json.loads(done("export", sample_file, target, "--json"))
    assert value["text"] == out and len(value["projected"]["rows"]) == 4
    assert done("export", sample_file, target, "-o", tmp_path / "f").startswith("wrote")
    assert (tmp_path / "f" / value["filename"]).read_text() == out


def test_export_takes_foreign_files_and_options(tmp_path):
    path = tmp_path / "table.npy"
    path.write_bytes(foreign.SAMPLES["ebcache"])
    out = done("export", path, "smoothcache", "--blocks", 2, "--set", "modules=dit", "-q")
    assert json.loads(out) == {"attn": [1, 0, 0, 1], "mlp": [1, 1, 0, 1]}


def test_commands_without_a_model_do_not_load_torch(sample_file):
    code = (
        "import sys; from caching.cli import main; "
        f"main(['methods', '-q']); main(['convert', {str(sample_file)!r}, '-q']); "
        f"main(['export', {str(sample_file)!r}, 'smoothcache', '-q']); "
        "sys.stderr.write(str('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "False"


# -- help, refusals, streams ---------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.NAME)
def test_help_teaches_by_examples_that_parse(command, capsys):
    assert main([command.NAME, "--help"]) == 0
    text = capsys.readouterr().out
    assert command.EXAMPLES.splitlines()[1].strip() in text
    joined = re.sub(r"\\\n\s*", "", command.EXAMPLES)  # a long command goes on in the next line
    examples = [line for line in joined.splitlines() if "python -m caching" in line]
    assert len(examples) >= 3
    for line in examples:
        # What it does may stand behind it, a few spaces apart.
        words = re.split(">|[|]|   ", line.split("python -m caching ")[1])[0].split()
        from caching.cli import _parser

        assert _parser().parse_args(words).command is command


def test_help_without_a_command(capsys):
    assert main(["--help"]) == 0
    assert "first steps:" in capsys.readouterr().out
    assert main([]) == 2 and main(["paint"]) == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("run", "--schedule", "nope"), "'nope' is no file, expected a schedule"),
        (("run", "--schedule", "fora:2"), "A method is asked for as --method fora."),
        (("run", "--schedule", "x", "--method", "fora"), "both given, expected one of them"),
        (("run", "--method", "magic"), "method 'magic' is not known, expected one of:"),
        (("run", "--method", "fora", "--set", "interval=0"), "a whole number from 2 to 10"),
        (("run", "--method", "fora", "--set", "interval=x"), "a whole number from 2 to 10"),
        (("run", "--method", "fora", "--set", "align=mid"), "expected one of end, start"),
        (("run", "--method", "fbcache", "--set", "x=1"), "control 'x=1' is not known for FBCache"),
        (("run", "--method", "fbcache", "--set", "threshold=a"), "expected a number from 0 to 3"),
        (("run", "--method", "fbcache", "--set", "threshold"), "control 'threshold' is not known"),
        (("run", "--method", "teacache", "--guidance", "nan"), "guidance nan was given"),
        (("run", "--method", "fora", "--steps", "0"), "steps 0 was given"),
        (("run", "--method", "fora", "--resample"), "--resample was given without a --schedule"),
        (("run", "--resample"), "--resample was given without a --schedule"),
        (("run", "--learned", "x.json"), "--learned x.json was given without a --method"),
        (("run", "--method", "l2c", "--learned", "x.json"), "x.json is missing"),
        (("run", "--method", "l2c", "--learned", ""), "expected the .json of what was learned"),
        (("run", "--method", "l2c"), "nothing was trained for"),
        (("run", "--set", "x=1"), "without a --method or --schedule"),
        (("calibrate", "magic"), "method 'magic' is not known"),
        (("calibrate", "teacache", "--set", "order=1"), "control 'order=1' is not known"),
        (("calibrate", "teacache", "--steps", "2"), "pairs of steps"),
        (("run", "--label", "zebra"), "class 'zebra' is not known"),
        (("run", "--label", "1000"), "label 1000 was given"),
        (("run", "--seed", "-1"), "seed -1 was given"),
        (("run", "--steps", "0"), "steps is 0: expected a whole number"),
        (("run", "--guidance", "nan"), "guidance nan was given"),
        (("run", "--sampler", "magic"), "sampler 'magic' is not known"),
        (("run", "--device", "abacus"), "device 'abacus' is not known"),
        (("run", "--threads", "0"), "0 threads were asked for"),
        (("compare", "--repeats", "-1"), "-1 repeats were asked for"),
        (("trace", "--lags", "0"), "lags 0 was given, expected a whole number from 1"),
        (("trace", "--steps", "0"), "steps 0 was given"),
    ],
)
def test_bad_input_is_exit_2_with_one_line(folder, argv, message, tmp_path):
    code, out, err = cli(*argv, "--model", folder, *(["-o", tmp_path / "x"] * (argv[0] == "run")))
    assert code == 2 and out == ""
    assert err.splitlines()[-1].startswith("error: ") and message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("convert", "missing.json"), "'missing.json' is not a file"),
        (("convert", "{}"), r"does not say how many blocks .*--blocks"),
        (("convert", "{}", "--blocks", "0"), "blocks is 0"),
        (("convert", "{}", "--blocks", "2", "--set", "theta=1"), "option 'theta=1' is not known"),
        (("convert", "{}", "--blocks", "2", "--branches", "A"), "branches are"),
        (("export", "{}", "sglang", "--blocks", "1"), "nothing would be reused"),
        (("run", "--model", "/nowhere"), "'/nowhere' is not a folder"),
        (("methods", "magic"), "'magic' is not known, expected one of methods, brushes"),
        (("methods", "fora", "--markdown"), "--markdown is for all methods"),
    ],
)
def test_files_that_cannot_be_used_are_exit_2(argv, message, tmp_path):
    path = tmp_path / "schedule.json"
    path.write_text('{"attn": [1, 0], "mlp": [1, 0]}')
    code, out, err = cli(*(a.replace("{}", str(path)) for a in argv))
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert re.search(message, err), err


def test_a_place_that_cannot_be_written_is_exit_2(tmp_path, sample_file):
    (tmp_path / "file").write_text("")
    code, _, err = cli("convert", sample_file, "-o", tmp_path / "file" / "x.json", "-q")
    assert code == 2 and "cannot be used" in err and len(err.splitlines()) == 1


def test_the_module_runs_as_a_program_and_survives_a_closed_pipe(sample_file):
    command = [sys.executable, "-m", "caching", "methods"]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert ran.returncode == 0 and ran.stdout.startswith("methods:") and ran.stderr == ""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_remarks_do_not_run_into_it():
    err = Screen()
    terminal = Terminal(io.StringIO(), err)
    terminal.progress("step", 1, 2)
    terminal.say("hello")
    terminal.progress("step", 2, 2)
    bar = "\r\x1b[Kstep ████████████░░░░░░░░░░░░ 1 of 2\n"
    assert err.getvalue() == f"{bar}hello\n\r\x1b[Kstep {'█' * 24} 2 of 2\n"


def test_a_table_lines_up():
    assert table(("", "ms"), [("full", "12"), ("x", "3")]) == "      ms\nfull  12\nx      3"
