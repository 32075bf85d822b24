"""An error stands at the line and column of what is wrong, not at a neighbour's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

_PLAIN = """\
name: places
model: {model}
engine:
- vllm
- {engine}
workload:
  answers_per_day: 1e5
  input_tokens: 1000
  answer_tokens: 200
  effort: {effort}
fleet:
  gpus:
  - h100-sxm
  - {gpu}
  kv_precision: {kv}
  precisions:
  - fp8
  - {precision}
prices:
  providers:
  - aws
  - {provider}
  regions:
  - us-east-1
  - {region}
demand:
  curve: {curve}
energy:
  grid: {grid}
  grid_source: {grid_source}
"""
_GOOD = {
    "model": "gpt-oss-120b",
    "engine": "sglang",
    "effort": "medium",
    "gpu": "h200-sxm",
    "kv": "bf16",
    "precision": "bf16",
    "provider": "azure",
    "region": "eastus",
    "curve": "servegen-m-small",
    "grid": "USA",
    "grid_source": "ember",
}


def _line_of(text: str, wrong: str) -> str:
    number = next(i for i, line in enumerate(text.splitlines(), start=1) if wrong in line)
    column = text.splitlines()[number - 1].index(wrong) + 1
    return f":{number}:{column}"


@pytest.mark.parametrize("field", sorted(_GOOD))
def test_an_unknown_name_is_told_at_its_own_line(call: Call, tmp_path: Path, field: str) -> None:
    """Each name a scenario looks up, one after the other, is spoiled: the error stands where that name stands."""
    text = _PLAIN.format(**{**_GOOD, field: "zzz"})
    path = tmp_path / "places.yaml"
    path.write_text(text, encoding="utf-8")
    outcome = call("estimate", path)
    assert outcome.code == 3
    assert outcome.errors[0].startswith(f"error: {path}{_line_of(text, 'zzz')}"), outcome.errors


_CLASSES = """\
name: classes
model: gpt-oss-120b
workload:
  answers_per_day: 1e5
  input_tokens: 1000
  answer_tokens: 200
  effort: medium
  classes:
  - {{name: short, share: 0.5}}
  - {{name: long, share: 0.5, effort: {effort}{more}}}
"""


@pytest.mark.parametrize("more", ["", ", model: gpt-oss-20b"])
def test_a_class_with_a_wrong_effort_is_told_at_the_class(call: Call, tmp_path: Path, more: str) -> None:
    """The effort of a class stands at the class, not at the effort of the workload; of a router's classes likewise."""
    text = _CLASSES.format(effort="zzz", more=more)
    path = tmp_path / "classes.yaml"
    path.write_text(text, encoding="utf-8")
    outcome = call("estimate", path)
    assert outcome.code == 3
    assert outcome.errors[0].startswith(f"error: {path}{_line_of(text, 'zzz')}"), outcome.errors


def test_an_agent_that_outgrows_the_context_is_told_at_the_agent(call: Call, tmp_path: Path) -> None:
    """The error is about `agent`, so it stands there and not at a field the file may not have."""
    text = _CLASSES.format(effort="medium", more=", turns_per_answer: 100, agent: {tool_tokens: 100000}")
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    outcome = call("estimate", path)
    assert outcome.code == 2
    assert outcome.errors[0].startswith(f"error: {path}{_line_of(text, '{tool_tokens')}"), outcome.errors


@pytest.mark.parametrize(
    ("command", "wrong", "text"),
    [
        (
            "quality",
            "zzz",
            """\
name: places
benchmark: aime-2024
candidates:
- api: o3
  model: zzz
""",
        ),
        (
            "quality",
            "zzz",
            """\
name: places
benchmark: aime-2024
candidates:
- model: DeepSeek-R1
  effort: zzz
""",
        ),
        (
            "implied",
            "zzz",
            """\
name: places
as_of: 2024-09-12
base: gpt-4o
model: o1-preview
observations:
- basis: characters
  base: {characters: 1390, text: code-python, tokenizer: o200k}
  model:
    characters: 10000
    text: code-python
    tokenizer: zzz
""",
        ),
        (
            "break-even",
            "true",
            """\
name: places
scenario: o1-class
tiers: on_demand
api:
  as_of: 2024-10-01
  model: o1-preview
  batch: true
""",
        ),
    ],
)
def test_an_economic_question_is_told_at_the_field_that_is_wrong(
    call: Call, tmp_path: Path, command: str, wrong: str, text: str
) -> None:
    """Not at the first field of its entry, not at a neighbour, and not in a file of the catalogue."""
    path = tmp_path / "places.yaml"
    path.write_text(text, encoding="utf-8")
    outcome = call(command, path)
    assert outcome.code == 3, outcome.errors
    assert outcome.errors[0].startswith(f"error: {path}{_line_of(text, wrong)}"), outcome.errors
