"""What tests of files and commands share: a scenario to spoil, and the command line called in-process."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from planner.cli.main import run

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)  # the same examples in every run
settings.load_profile("ci" if os.environ.get("CI") else "here")

SCENARIO = """\
name: question
model: llama-3.1-8b
engine: vllm
workload:
  answers_per_day: 1e5
  input_tokens: 1000
  answer_tokens: 200
demand: {peak_to_mean: 1.5}
fleet:
  gpus: [h100-sxm]
prices:
  tiers: [on_demand]
overrides:
  twice: {workload.answers_per_day: 2e5}
"""


class Outcome(NamedTuple):
    """What a call left behind."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Return the lines that say what is wrong, without warnings and notes."""
        return [line for line in self.err.splitlines() if not re.match(r"warning: |note: |\d+ notes?: --notes ", line)]


Call = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as in a pipe, whatever terminal the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs `planner ARGUMENTS` in this process."""

    def invoke(*arguments: str | Path, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return invoke


@pytest.fixture
def scenario_text() -> str:
    """Return a scenario that works, small enough to change by hand."""
    return SCENARIO


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    """Return a file with a scenario that works."""
    path = tmp_path / "question.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path
