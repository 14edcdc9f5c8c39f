"""What no file may do: imports that cross a boundary, long files, unsafe reading, stray prints."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("caching", "viz", "presets", "app.py")
MAX_LINES = 400

# package: the top-level names it must not import.
FORBIDDEN = {
    "caching": {"gradio", "plotly", "viz", "app"},
    "viz": {"torch", "app"},
}

# These work, and the page opens, before torch is loaded.
WITHOUT_TORCH = (
    "caching",
    "caching.errors",
    "caching.schedule",
    "caching.edits",
    "caching.predictors",
    "caching.formats.native",
    "caching.policies",
    "caching.predict.proxy",
)

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}


def files(*places, suffixes=(".py",)):
    """The files of some top-level folders or files, as paths relative to the repository."""
    found = []
    for place in places:
        path = ROOT / place
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [p.relative_to(ROOT) for p in inside if p.suffix in suffixes and p.is_file()]
    return found


@cache
def tree_of(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imported(tree, package=()):
    """The dotted names a module imports, also inside functions and under TYPE_CHECKING."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names |= {".".join([*base, alias.name]) for alias in node.names}
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            names |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}
    return names


def called(node):
    """The last name of what is called: `torch.load(…)` is "load"."""
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def keyword(node, name):
    """The constant given for a keyword argument, None without one."""
    values = [k.value for k in node.keywords if k.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def faults(tree):
    """Sentences on what the house rules forbid anywhere in the product."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: bare except")
        if not isinstance(node, ast.Call):
            continue
        if keyword(node, "allow_pickle") not in (None, False):
            found.append(f"line {node.lineno}: allow_pickle")
        if keyword(node, "weights_only") is False:
            found.append(f"line {node.lineno}: weights_only=False")
        owner = getattr(getattr(node.func, "value", None), "id", None)
        if called(node) == "load" and owner == "torch" and not keyword(node, "weights_only"):
            found.append(f"line {node.lineno}: torch.load without weights_only=True")
    unsafe = {name.split(".")[0] for name in imported(tree)} & UNSAFE_MODULES
    return found + [f"imports {name}" for name in sorted(unsafe)]


def prints(tree):
    return [
        f"line {node.lineno}: print"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"
    ]


def crossings(path, tree):
    """The imports of a file that its top-level folder forbids."""
    names = {name.split(".")[0] for name in imported(tree, path.parts[:-1])}
    return sorted(names & FORBIDDEN.get(path.parts[0], set()))


def idea(path, text):
    """The first line of a file, if it is a docstring or comment that says something."""
    if path.suffix == ".py":
        doc = ast.get_docstring(ast.parse(text), clean=False)
        line = (doc or "").split("\n")[0].strip()
        return line if text.startswith(('"""', 'r"""')) else ""
    first = text.split("\n")[0].strip()
    return first.lstrip("/* ") if first.startswith(("//", "/*")) else ""


def untidy(path, text):
    """Why a file breaks the rules for its beginning and its length, if it does."""
    if path.name == "__init__.py" and not text:
        return []  # an empty file that only marks a package has no idea to state
    short = (
        [] if len(idea(path, text)) >= 10 else ["the first line must state the idea of the file"]
    )
    lines = len(text.splitlines())
    return short + ([f"{lines} lines, at most {MAX_LINES}"] if lines > MAX_LINES else [])


# One test for all files: a test of its own for each would take ten times as long as the looking.


def wrong(paths, look):
    """What a look finds, by file."""
    found = {str(path): look(path) for path in paths}
    return {path: words for path, words in found.items() if words}


def test_there_are_files_to_look_at():
    assert len(files("caching", "viz")) > 300 and len(files("tests")) > 100


def test_imports_point_one_way():
    assert wrong(files("caching", "viz"), lambda path: crossings(path, tree_of(path))) == {}


def test_no_unsafe_reading_and_no_bare_except():
    assert wrong(files(*CODE), lambda path: faults(tree_of(path))) == {}


def test_libraries_do_not_print():
    assert wrong(files("caching", "viz"), lambda path: prints(tree_of(path))) == {}


def test_a_file_states_its_idea_first_and_ends_in_time():
    paths = files(*CODE, "tests", suffixes=(".py", ".js", ".css"))
    assert wrong(paths, lambda path: untidy(path, (ROOT / path).read_text(encoding="utf-8"))) == {}


def test_imports_without_torch():
    heavy = "{'torch', 'diffusers', 'gradio', 'plotly'}"
    code = "import sys, importlib\n" + "\n".join(
        f"importlib.import_module({name!r}); print({name!r}, sorted({heavy} & set(sys.modules)))"
        for name in WITHOUT_TORCH
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in WITHOUT_TORCH], done.stderr


# -- the checks themselves can fail --------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("caching/x.py", "import gradio as gr"),
        ("caching/x.py", "from plotly.graph_objects import Figure"),
        ("caching/a/x.py", "def f():\n    from viz.grid import ScheduleGrid"),
        ("caching/x.py", "import importlib\nimportlib.import_module('gradio.blocks')"),
        ("caching/a/x.py", "from app import build_app"),
        ("viz/x.py", "import torch.nn"),
        ("viz/grid/x.py", "from torch import Tensor"),
        ("viz/x.py", "import app"),
    ],
)
def test_a_crossing_is_seen(where, code):
    assert crossings(Path(where), ast.parse(code))


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("viz/x.py", "import gradio, plotly\nfrom caching.schedule import Schedule"),
        ("viz/x.py", "from . import app"),
        ("viz/grid/x.py", "from ..torch import x"),
        ("caching/x.py", "import torch, diffusers"),
        ("presets/x.py", "import torch, gradio"),
    ],
)
def test_an_allowed_import_is_let_through(where, code):
    assert crossings(Path(where), ast.parse(code)) == []


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept:\n    pass",
        "import pickle",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "load(path, weights_only=False)",
        "torch.load(path, weights_only=maybe)",
    ],
)
def test_a_fault_is_seen(code):
    assert faults(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept OSError:\n    pass",
        "np.load(path, allow_pickle=False)",
        "torch.load(path, weights_only=True)",
        "json.load(file)",
    ],
)
def test_safe_code_is_let_through(code):
    assert faults(ast.parse(code)) == []


def test_a_print_is_seen():
    assert prints(ast.parse("print(1)"))
    assert not prints(ast.parse("log.print(1)"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.py", "import os\n"),
        ("x.py", '"""."""\n'),
        ("x.py", '"""\nThe idea comes a line too late.\n"""\n'),
        ("x.py", '# a comment\n"""The docstring is not the first line."""\n'),
        ("x.js", "const a = 1; // an idea\n"),
        ("x.css", ".a { color: red }\n"),
    ],
)
def test_a_file_without_an_idea_is_seen(name, text):
    assert len(idea(Path(name), text)) < 10


def test_a_long_file_is_seen():
    text = "// an idea of ten letters\n" * (MAX_LINES + 1)
    assert untidy(Path("x.js"), text) == [f"{MAX_LINES + 1} lines, at most {MAX_LINES}"]
    assert untidy(Path("x.js"), text.removesuffix("// an idea of ten letters\n")) == []
