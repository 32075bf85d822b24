"""The order of the rooms: no layer imports upwards, and importing the package stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "planner"
LEVELS = (
    {"planner", "planner.errors", "planner.units", "planner.wording"},
    {"planner.serving", "planner.documents"},
    {"planner.fleet", "planner.catalog"},
    {"planner.scenario", "planner.estimate"},
    {"planner.options"},
    {"planner.explain", "planner.loadtest"},
    {"planner.economics", "planner.probe", "planner.calibration"},
    {"planner.report"},
    {"planner.cli", "planner.__main__"},
)
"""Rooms from the ground up; rooms on one level do not know each other."""


def module_of(path: Path) -> str:
    """Return the dotted name of a file."""
    parts = ("planner", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(p for p in parts if p != "__init__")


def room(module: str) -> str:
    """Return the room a module belongs to: planner.<first part>."""
    return ".".join(module.split(".")[:2])


def level(module: str) -> int:
    """Return the level of a module's room."""
    return next(i for i, rooms in enumerate(LEVELS) if room(module) in rooms)


def imports(path: Path) -> set[str]:
    """Return the planner modules a file imports at its top level (TYPE_CHECKING blocks aside)."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("planner"):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("planner")}
    return found


def test_no_layer_imports_upwards() -> None:
    """Every import goes to a lower level or stays in its own room."""
    wrong = [
        f"{module_of(path)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in sorted(imports(path))
        if level(name) >= level(module_of(path)) and room(name) != room(module_of(path))
    ]
    assert wrong == []


def test_reading_files_does_not_need_numpy() -> None:
    """Reading and validating files does not import numpy."""
    code = "import sys, planner.scenario.load; print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_version_imports_nothing_heavy() -> None:
    """`planner --version` answers without click, numpy, pydantic or yaml."""
    code = (
        "import sys; sys.argv = ['planner', '--version']\nfrom planner.__main__ import main\nmain()\n"
        "print([m for m in ('click', 'numpy', 'pydantic', 'yaml') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[1:] == ["[]"]


def test_functions_and_modules_stay_small() -> None:
    """No function is over 60 lines without its docstring, no module over 350."""
    long = []
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > 350:
            long.append(f"{path.name}: {source.count(chr(10))} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                doc = ast.get_docstring(node, clean=False)
                size = (node.end_lineno or 0) - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
                if size > 60:
                    long.append(f"{path.name}:{node.name}: {size} lines")
    assert long == []
