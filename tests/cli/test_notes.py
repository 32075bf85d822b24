"""Notes stand below the answer: folded into their number, printed with --notes; alarms and gates are never folded."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Call = Callable[..., Any]
MANY = ["--gpu", "h100-sxm", "--set", "slo.ttft_p95_s=2"]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_notes_are_folded_into_one_line(call: Call, form: str) -> None:
    """The one line counts what --notes prints; JSON holds the same texts either way."""
    folded = call("estimate", "chat-assistant", *MANY, "-f", form)
    told = call("estimate", "chat-assistant", *MANY, "-f", form, "--notes")
    notes = [line.removeprefix("note: ") for line in told.err.splitlines()]
    assert len(notes) > 1
    assert folded.err == f"{len(notes)} notes: --notes shows them\n"
    assert folded.out == told.out
    if form == "json":
        assert json.loads(folded.out)["warnings"] == notes


def test_markdown_keeps_the_notes(call: Call) -> None:
    """A page for a wiki has no second stream."""
    told = call("estimate", "chat-assistant", *MANY, "--notes").err.splitlines()
    page = call("estimate", "chat-assistant", *MANY, "-f", "markdown").out
    assert [line for line in page.splitlines() if line.startswith("> ")] == [
        f"> warning: {note.removeprefix('note: ').removeprefix('chat-assistant: ')}" for note in told
    ]


def test_what_changes_the_answer_is_not_folded(call: Call) -> None:
    """An SLO that nothing meets and a failed gate are printed, the notes beside them folded."""
    missed = call("estimate", "chat-assistant", "--gpu", "h100-sxm", "--set", "slo.ttft_p95_s=0.001")
    assert missed.code == 1
    assert "warning: chat-assistant: no option meets the SLO: ttft_p95_s 0.001 is below" in missed.err
    gate = call("estimate", "chat-assistant", "--gpu", "h100-sxm", "--max", "gpus=0")
    assert gate.code == 1
    assert gate.err.splitlines()[0].startswith("chat-assistant: gate failed: gpus is ")
    assert gate.err.splitlines()[-1].endswith(" notes: --notes shows them")


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "chat-assistant", "gpt-4o-class", "--gpu", "h100-sxm"],
        ["explain", "chat-assistant", "gpus", "--gpu", "h100-sxm"],
        ["thinking", "o1-class", "--gpu", "h200-sxm"],
        ["energy", "chat-assistant", "--gpu", "h100-sxm"],
        ["quality"],
        ["payback"],
        ["break-even"],
        ["budget"],
        ["estimate", "--from", "-", "-f", "csv"],
    ],
    ids=" ".join,
)
def test_every_command_folds_its_notes(call: Call, arguments: list[str]) -> None:
    """One line at the end without the flag, the notes one by one with it; the answer is the same."""
    sheet = "gpu\nh100-sxm\n"
    folded, told = call(*arguments, stdin=sheet), call(*arguments, "--notes", stdin=sheet)
    assert folded.out == told.out
    notes = [line for line in told.err.splitlines() if line.startswith("note: ")]
    assert notes
    assert not any(line.startswith("note: ") for line in folded.err.splitlines())
    assert folded.err.splitlines()[-1].startswith(f"{len(notes)} note")


def test_explain_shows_three_levels_unless_all(call: Call) -> None:
    """Formulas of three depths, how many steps are deeper, and the rest with --all; JSON has every one."""
    question = ["explain", "chat-assistant", "cost_usd_per_month", "--gpu", "h100-sxm"]
    short, whole = call(*question).out, call(*question, "--all").out
    steps = json.loads(call(*question, "-f", "json").out)["steps"]
    deeper = [step for step in steps if step["depth"] > 2]
    assert f"\n{len(deeper)} deeper steps: --all shows them\n" in short
    assert "deeper steps" not in whole
    for step in steps:
        line = f"{'  ' * step['depth']}{step['name']} = {step['expression']}"
        if step["expression"]:
            assert (line in short.splitlines()) == (step["depth"] < 3)
            assert line in whole.splitlines()
    assert "price.usd_per_gpu_hour = " in short
    assert short.count(": given by the scenario") < whole.count(": given by the scenario")
    assert "deeper" not in call(*question, "--depth", "1").out
