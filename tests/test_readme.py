"""The README's commands, versions and picture are those of the repository."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

from caching.cli import COMMANDS
from caching.methods import METHODS
from caching.methods.listing import BEGIN, END, markdown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced_line(heading: str) -> str:
    """The one fenced line under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```\w*\n(.*?)```", section, re.DOTALL)
    (line,) = block.strip().splitlines()
    return line


def test_two_commands_make_their_own_environment() -> None:
    for heading, last in (("Run it", "app.py"), ("Test it", "-m tests")):
        steps = fenced_line(heading).split(" && ")
        assert steps[0] == "python3 -m venv .venv"
        assert steps[1] == ".venv/bin/pip install -r requirements.txt"
        assert steps[2] == f".venv/bin/python {last}"
        assert len(steps) == 3


def test_ci_runs_the_readme_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    finder = re.search(r"line=\$\((awk '.*?' README\.md)\)", script, re.DOTALL)
    assert finder
    found = subprocess.run(
        ["bash", "-c", finder[1]], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found == fenced_line("Test it")


def test_space_and_requirements_agree_on_gradio() -> None:
    wanted = re.search(r"^sdk_version: (\S+)$", README, re.MULTILINE)
    pinned = re.search(
        r"^gradio==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert wanted and pinned and wanted[1] == pinned[1]


def test_every_command_and_link_exists() -> None:
    modules = re.findall(r"`python -m ([\w.]+)", README)
    assert len(modules) >= 5
    for module in modules:
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        if spec.submodule_search_locations:  # a package is run through its __main__
            assert importlib.util.find_spec(f"{module}.__main__"), module
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_methods_table_is_that_of_the_registry() -> None:
    table = README.split(BEGIN)[1].split(END)[0].strip()
    refresh = "python -m caching methods --markdown README.md"
    assert table == markdown(METHODS), f"run {refresh}"
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", row[0])[0] for row in rows) == sorted(METHODS)
    assert all(len(row) == 6 for row in rows)
    assert refresh in README


def test_every_command_of_the_shell_is_named() -> None:
    (sentence,) = re.findall(r"From a shell, `python -m caching` has (.*?);", README, re.DOTALL)
    assert re.findall(r"`(\w+)`", sentence) == [command.NAME for command in COMMANDS]
