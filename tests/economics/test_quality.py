"""What accuracy costs: published accuracies and prices, arithmetic by hand, and what is refused."""

import csv
import io
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.catalog.benchmark_points import BenchmarkFile
from planner.catalog.catalog import Catalog
from planner.catalog.kinds import BY_WORD
from planner.documents.spec import load
from planner.documents.yaml_reader import parse_document
from planner.economics.page import QuestionResult
from planner.economics.quality import quality
from planner.economics.questions.asked import load_asked
from planner.economics.questions.quality import QualityFile
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_GATE_FAILED, EXIT_OK, PlannerError

CATALOG = Catalog()
Call = Callable[..., Any]


def solve(text: str) -> QuestionResult:
    """Answer a question given as text."""
    return quality(load(QualityFile, parse_document(text, "mine.yaml")), CATALOG)


def shipped(name: str, **changes: Any) -> QuestionResult:
    """Answer a shipped question with fields set: __ stands for a dot."""
    sets = {key.replace("__", "."): value for key, value in changes.items()}
    return quality(load_asked(QualityFile, str(BY_WORD["quality"].folder), name, CATALOG, sets), CATALOG)


def rows(call: Call, *arguments: str) -> list[dict[str, str]]:
    """Return a command's CSV as rows."""
    return list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv").out)))


def test_the_constants_of_the_coverage_law_come_out_of_a_command(call: Call) -> None:
    """To three digits and more: the end points of Large Language Monkeys."""
    for name, a, b in (("swe-bench-lite", -1.8389, -0.2090), ("codecontests", -8.517, -0.1270)):
        found = rows(call, "quality", name, "--fields", "model,coverage_a,coverage_b")
        law = next(row for row in found if row["coverage_a"])
        assert float(law["coverage_a"]) == pytest.approx(a, rel=5e-4)
        assert float(law["coverage_b"]) == pytest.approx(b, rel=5e-4)


def test_repeated_samples_cost_what_the_paper_says() -> None:
    """Table 1: $10.8, $39 and $51 for 300 issues: five cheap samples beat a dear one 3.6 and 4.7 times cheaper."""
    result = shipped("swe-bench-lite")
    five = result.line("deepseek-coder-v2, table 1, best_of_n of 5")
    gpt, claude = result.line("gpt-4o, table 1, single"), result.line("claude-3.5-sonnet, table 1, single")
    bill = [300 * line.values["cost_usd_per_answer"] for line in (five, gpt, claude)]
    assert bill == pytest.approx([10.8, 39, 51])
    assert [bill[1] / bill[0], bill[2] / bill[0]] == pytest.approx([3.6, 4.7], abs=0.05)
    assert [line.texts["on_frontier"] for line in (five, gpt, claude)] == [True, False, False]


def test_a_retry_costs_its_tries_and_the_law_by_hand() -> None:
    """Cost * sum over j < 5 of (1 - c(j)) / c(5), with c(k) = exp(a k^b) of the two published points."""
    a = math.log(0.159)
    b = math.log(math.log(0.56) / a) / math.log(250)
    covered = [0.0] + [math.exp(a * k**b) for k in range(1, 6)]
    line = shipped("swe-bench-lite").line("deepseek-coder-v2, retry up to 5")
    expected = 0.0072 * sum(1 - c for c in covered[:5]) / covered[5]
    assert line.values["cost_usd_per_correct_answer"] == pytest.approx(expected)
    assert line.values["tries"] < 5


def test_an_api_is_billed_by_hand() -> None:
    """o3-mini high on the puzzles: 200 tokens at $1.10 and 2,049.8 at $4.40 a million, 90 % right."""
    line = shipped("logic-puzzles").line("o3-mini, high, single")
    cost = (200 * 1.1 + 2049.8 * 4.4) / 1e6
    assert line.values["cost_usd_per_answer"] == pytest.approx(cost)
    assert line.values["cost_usd_per_correct_answer"] == pytest.approx(cost / 0.9)


def test_an_own_fleet_costs_what_estimate_says(call: Call) -> None:
    """The command in the provenance answers the same dollars."""
    result = shipped("logic-puzzles")
    found = next(i for i in result.provenance if i.name.startswith("fleet.qwen3-30b-a3b"))
    arguments = shlex.split(found.source)[1:]
    row = rows(call, *arguments)[0]
    assert float(row["cost_usd_per_answer"]) == pytest.approx(found.value, rel=1e-6)
    assert 0.99 * 5450.8 < float(row["generated_tokens_per_answer"]) < 5450.8  # a few are cut at max_tokens


def test_votes_meet_the_measured_ends() -> None:
    """o1 on AIME 2024: 74 % with one sample, 83 % by 64, all votes between."""
    result = shipped("aime-votes")
    voted = {
        line.values["samples"]: line.values["accuracy"] for line in result.lines if line.texts["method"] == "majority"
    }
    assert voted[64.0] == 0.83
    assert [voted[k] for k in (4.0, 8.0, 16.0, 32.0)] == sorted(voted[k] for k in (4.0, 8.0, 16.0, 32.0))
    assert all(0.74 < accuracy <= 0.83 for accuracy in voted.values())


def test_a_budget_between_measured_ones_is_joined_in_log_tokens() -> None:
    """s1-32B, table 12: 1,500 tokens between 3.3 % at 1,039 and 30 % at 2,063."""
    line = next(x for x in shipped("aime-budgets").lines if x.values["row.budget_tokens"] == 1500)
    expected = 0.033 + (0.30 - 0.033) * math.log(1500 / 1039) / math.log(2063 / 1039)
    assert line.values["accuracy"] == pytest.approx(expected)
    assert line.texts["basis"] == "joined in log tokens"


def test_thinking_twice_as_long_by_hand() -> None:
    """R1 to R1-0528 on AIME 2025: 70.0 to 87.5 % for 11,000 more tokens at $2.19 a million."""
    line = shipped("aime-2025").line("deepseek-r1-0528, single")
    assert line.values["usd_per_last_percentage_point"] == pytest.approx(11_000 * 2.19e-6 / 17.5)
    best = shipped("aime-2025", target__accuracy=0.9).verdict[0]
    assert best.startswith("cost unknown at 90.0% accuracy: gpt-oss-120b, high, single: 92.5%")


def test_the_last_percentage_point_by_hand() -> None:
    """gpt-4o to o1-like: between two rows of the frontier, dollars over points."""
    result = solve(MINE)
    second = result.lines[1]
    assert second.values["usd_per_last_percentage_point"] == pytest.approx((0.03 - 0.01) / (56 - 15.9))


MINE = """
name: mine
benchmark: swe-bench-lite
candidates:
  - {model: deepseek-coder-v2, setting: default, method: best_of_n, samples: 1, usd_per_sample: 0.01}
  - {model: deepseek-coder-v2, setting: default, method: best_of_n, samples: 250, usd_per_sample: 12e-5}
"""


def test_the_cheapest_that_reaches_a_target(call: Call) -> None:
    """Compare and quality answer alike; the frontier alone is shorter; nothing reaching it is exit 1 with the best."""
    found = rows(call, "compare", "logic-puzzles", "--target", "accuracy=0.9")
    assert found == rows(call, "quality", "logic-puzzles", "--target", "accuracy=0.9")
    reaching = [row for row in found if float(row["accuracy"]) >= 0.9]
    assert [row["meets_target"] for row in found] == ["TRUE"] * len(reaching) + ["FALSE"] * (len(found) - len(reaching))
    assert float(found[0]["cost_usd_per_answer"]) == min(float(row["cost_usd_per_answer"]) for row in reaching)
    frontier = rows(call, "quality", "logic-puzzles", "--frontier")
    assert 1 < len(frontier) < len(found)
    assert {row["on_frontier"] for row in frontier} == {"TRUE"}
    none = call("compare", "swe-bench-lite", "--target", "accuracy=0.8")
    assert none.code == EXIT_GATE_FAILED
    assert "no candidate reaches 80.0% accuracy; the best is deepseek-coder-v2" in none.out


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0), st.floats(0.0, 1.0))
def test_a_cheaper_price_never_costs_more(one: float, other: float, precision: float) -> None:
    """Dearer samples cost more per answer and per correct answer; a worse verifier never makes one cheaper."""
    candidate = (
        "{{model: deepseek-coder-v2, setting: default, method: retry, samples: 9, "
        "usd_per_sample: {}, verifier: {{precision: {}}}}}"
    )
    text = f"name: a\nbenchmark: swe-bench-lite\ncandidates:\n  - {candidate}\n"
    cheap, dear = (solve(text.format(f"{x:.9f}", f"{max(precision, 0.01):.6f}")).lines[0] for x in sorted((one, other)))
    sure = solve(text.format(f"{min(one, other):.9f}", 1.0)).lines[0]
    for name in ("cost_usd_per_answer", "cost_usd_per_correct_answer"):
        assert cheap.values[name] <= dear.values[name]
    assert sure.values["cost_usd_per_correct_answer"] <= cheap.values["cost_usd_per_correct_answer"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--target", "accuracy=80"), EXIT_BAD_INPUT, "error: --target accuracy: 80 looks like a percentage"),
        (("--target", "accuracy=1.2"), EXIT_BAD_INPUT, "error: --target accuracy: 1.2 is not an accuracy"),
        (("--target", "acuracy=0.8"), EXIT_BAD_INPUT, "'acuracy=0.8' is not a target; expected accuracy=SHARE"),
        (("--target", "accuracy=high"), EXIT_BAD_INPUT, "error: --target accuracy: 'high' is not a number"),
        (("--target", "accuracy=-1"), EXIT_BAD_INPUT, "error: --target accuracy: -1 is not an accuracy"),
        (("--set", "target.accuracy=80"), EXIT_BAD_INPUT, "error: --set target.accuracy: 80 looks like a percentage"),
        (("--set", "benchmark=codeforces-2024"), EXIT_BAD_INPUT, "codeforces-2024 is measured in percentiles: a rank"),
        (("--set", "benchmark=logic-puzzle"), EXIT_DATA_MISSING, "Did you mean logic-puzzles"),
        (("--set", "candidates[0].model=o1-mni"), EXIT_DATA_MISSING, "has no point of 'o1-mni'. Did you mean o1-mini"),
        (("--set", "candidates[1].effort=low"), EXIT_DATA_MISSING, "has no accuracy of o3-mini at low. Measured: high"),
        (("--set", "candidates[0].budgets=3000"), EXIT_DATA_MISSING, "expected two or more to join"),
        (("--set", "candidates[0].method=majority", "--set", "candidates[0].samples=5"), 3, "depends on how alike"),
        (("--set", "candidates[0].samples=5"), EXIT_BAD_INPUT, "samples are given without a method"),
        (("--set", "candidates[0].usd_per_sample=1"), EXIT_BAD_INPUT, "usd_per_sample and api are given together"),
        (("--set", "candidates[0].api=o1-mno"), EXIT_DATA_MISSING, "error: --set candidates[0].api"),
        (("--set", "candidates[4].scenario=o1-clas"), EXIT_DATA_MISSING, "fleet: unknown scenario 'o1-clas'"),
        (("--set", "prices_as_of=2020-01-01"), EXIT_DATA_MISSING, "has no API price on 2020-01-01"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_refused(call: Call, arguments: tuple[str, ...], code: int, words: str) -> None:
    """One line with place, fault, what was expected and the nearest name."""
    outcome = call("quality", "logic-puzzles", *arguments)
    assert (outcome.code, len(outcome.errors)) == (code, 1)
    assert words in outcome.errors[0]


def test_budgets_outside_what_was_measured_are_refused() -> None:
    """Nothing is invented beyond the longest point."""
    with pytest.raises(PlannerError, match=r"20,000 tokens are outside what was measured of s1-32b \(1,039 to 7,021\)"):
        shipped("aime-budgets", **{"candidates[2]__budgets": 20_000})


def test_more_samples_than_were_measured_are_said_to_be_extrapolated() -> None:
    """1,000 tries where 250 were measured."""
    result = shipped("swe-bench-lite", **{"candidates[0]__samples": 1000})
    line = next(x for x in result.lines if x.values["samples"] == 1000)
    assert line.texts["basis"] == "coverage law, extrapolated"
    assert any("extrapolated beyond the measured samples" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("accuracy: 80", "80 looks like a percentage; expected a share between 0 and 1: 0.8"),
        ("accuracy: 0.8, samples: 8", "8 samples are not single"),
        ("answers: 5", "holds neither accuracy nor tokens"),
        (
            "generated_tokens: {mean: 100}, reasoning_tokens: 200",
            "reasoning_tokens 200 are more than the 100 generated",
        ),
        ("generated_tokens: {mean: 100, p50: 90, p90: 80}", "p90 80 is below p50 90"),
    ],
)
def test_points_that_cannot_be_are_refused(point: str, words: str) -> None:
    """With the line of the file."""
    text = f"id: b\ntitle: b\npoints:\n  - {{model: m, as_of: 2025-01-01, {point}}}\n"
    with pytest.raises(PlannerError, match=r"b\.yaml:4:\d+ points\[0\]") as error:
        load(BenchmarkFile, parse_document(text, "b.yaml"))
    assert words in str(error.value)


@pytest.mark.parametrize("name", CATALOG.files("scenarios/benchmarks"))
def test_every_point_names_a_source(name: str) -> None:
    """Each number of a benchmark has one, and each source is used."""
    loaded = CATALOG.get(BenchmarkFile, name)
    assert all(loaded.source("points", i) for i in range(len(loaded.spec.points)))
    assert set(loaded.document.source_names.values()) == set(loaded.spec.sources)


def test_scenarios_with_an_accuracy_are_compared_by_target(call: Call, tmp_path: Path) -> None:
    """Only those that reach it, cheapest first; a silent one is named; none reaching it: exit 1; none known: 3."""
    text = (CATALOG.roots[-1] / "scenarios/chat-assistant.yaml").read_text(encoding="utf-8")
    for name, more in (("good", "quality: {accuracy: 0.9}\n"), ("poor", "quality: {accuracy: 0.5}\n"), ("silent", "")):
        lines = [f"name: {name}" if line.startswith("name:") else line for line in text.splitlines()]
        (tmp_path / f"{name}.yaml").write_text("\n".join(lines) + "\n" + more, encoding="utf-8")
    files = [str(tmp_path / f"{name}.yaml") for name in ("poor", "good", "silent")]
    found = call("compare", *files, "--target", "accuracy=0.8", "--format", "csv")
    assert found.code == EXIT_OK
    assert [row["scenario"] for row in csv.DictReader(io.StringIO(found.out))] == ["good"]
    assert "cheapest at 80.0% accuracy: good" in found.err
    assert "no quality.accuracy: silent" in found.err
    none = call("compare", *files, "--target", "accuracy=0.95")
    assert (none.code, none.out.splitlines()[0][:45]) == (
        EXIT_GATE_FAILED,
        "nothing reaches 95.0% accuracy; the best is g",
    )
    assert call("compare", files[2], files[2], "--target", "accuracy=0.5").code == EXIT_DATA_MISSING
    assert call("compare", "logic-puzzles", "--gpu", "h100").errors == [
        "error: --gpu: is of scenarios; a question of `planner quality` takes --set"
    ]


def test_a_benchmark_of_ones_own_lies_beside_the_question(call: Call, tmp_path: Path) -> None:
    """Own measurements, thinking only: 400 thinking and 100 visible tokens at $2 a million are $0.001."""
    (tmp_path / "ours.yaml").write_text(
        "id: ours\ntitle: our tickets\nquestions: 50\npoints:\n"
        "  - {model: m, accuracy: 0.5, reasoning_tokens: 400, as_of: 2026-01-01}\n",
        encoding="utf-8",
    )
    question = tmp_path / "mine.yaml"
    question.write_text(
        "name: mine\nbenchmark: ours.yaml\ninput_tokens: 0\ncandidates:\n"
        "  - {model: m, answer_tokens: 100, usd_per_mtok_input: 1, usd_per_mtok_output: 2}\n",
        encoding="utf-8",
    )
    row = rows(call, "quality", str(question))[0]
    assert (float(row["cost_usd_per_answer"]), float(row["cost_usd_per_correct_answer"])) == pytest.approx((1e-3, 2e-3))
    long = list(csv.DictReader(io.StringIO(call("quality", question, "--format", "long-csv").out)))
    accuracy = next(r for r in long if r["metric"] == "accuracy")
    assert float(accuracy["low"]) < 0.5 < float(accuracy["high"])
    assert call("validate", tmp_path / "ours.yaml", question).code == EXIT_OK
    twice = tmp_path / "twice.yaml"
    text = (tmp_path / "ours.yaml").read_text(encoding="utf-8")
    twice.write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    assert f"twice.yaml:6:5 points[1]: m has a point like this at {twice}:5:5" in call("validate", twice).errors[0]
    question.write_text(question.read_text(encoding="utf-8").replace("model: m,", "model: mm,"), encoding="utf-8")
    assert "ours has no point of 'mm'" in call("validate", question).errors[0]
    missing = call("quality", question, "--set", "benchmark=theirs.yaml")
    assert (missing.code, len(missing.errors)) == (EXIT_BAD_INPUT, 1)


def test_an_own_fleet_says_the_volume_it_is_for(call: Callable[..., Any]) -> None:
    """o1-class answers a million a day; an API's price has no volume."""
    rows = list(csv.DictReader(io.StringIO(call("quality", "logic-puzzles", "--format", "csv").out)))
    own = [r["offer"] for r in rows if "×" in r["offer"]]
    assert own
    assert all(" at 1,000,000 answers a day, " in offer for offer in own)
    assert any(r["offer"] == "openai API, 2025-08-07" for r in rows)


def test_a_frontier_without_prices_keeps_every_row(call: Call, tmp_path: Path) -> None:
    """Rows that have no cost beat nobody and are beaten by none: all of them stay, and the best accuracy is named."""
    (tmp_path / "free.yaml").write_text("name: free\nbenchmark: math-500\ncandidates: [{model: s1-32b}]\n")
    whole, front = (call("quality", tmp_path / "free.yaml", *flag, "-f", "csv") for flag in ((), ("--frontier",)))
    assert (whole.code, front.code) == (EXIT_OK, EXIT_OK)
    assert front.out == whole.out
    assert len(front.out.splitlines()) > 2


def test_rows_of_one_label_are_numbered() -> None:
    """Two candidates that differ only in their price keep rows that `--row` can name."""
    twice = "  - {{model: deepseek-coder-v2, setting: table 1, usd_per_sample: {}}}\n"
    result = solve(f"name: a\nbenchmark: swe-bench-lite\ncandidates:\n{twice.format(0.1)}{twice.format(0.2)}")
    labels = [line.label for line in result.lines]
    assert len(set(labels)) == len(labels) > 1
    assert [label for label in labels if label.endswith("(2)")]
    first = labels[0]
    assert result.line(f"{first} (2)").value("usd_per_sample") == pytest.approx(0.2)


def test_samples_without_a_single_one_are_refused(call: Call, tmp_path: Path) -> None:
    """The paper gives five samples under this setting and no single one, so a number of samples has no row."""
    path = tmp_path / "mine.yaml"
    candidate = "{model: deepseek-coder-v2, setting: table 1, method: best_of_n, samples: 5}"
    path.write_text(f"name: a\nbenchmark: swe-bench-lite\ncandidates: [{candidate}]\n", encoding="utf-8")
    outcome = call("quality", path)
    assert (outcome.code, len(outcome.errors)) == (EXIT_DATA_MISSING, 1)
    assert "has no single sample of deepseek-coder-v2, from which best_of_n counts" in outcome.errors[0]


def test_a_question_without_prices_has_no_frontier() -> None:
    """The best is named without its cost, the marks are empty, and what would give a cost is said."""
    result = solve(
        "name: a\nbenchmark: aime-2025\nfrontier_only: true\n"
        "candidates: [{model: gpt-oss-120b, effort: high, setting: default}, {model: deepseek-r1-0528}]\n"
    )
    assert {line.texts["on_frontier"] for line in result.lines} == {None}
    assert len(result.lines) == 2
    assert result.verdict[0].startswith("best: gpt-oss-120b, high, single: 92.5%")
    assert "no row has both a price and an accuracy" in result.verdict[1]
    assert any(w.startswith("no cost without tokens and a price: gpt-oss-120b") for w in result.warnings)
    assert result.failed == ()


def test_a_target_that_is_hardly_reached_is_not_certain() -> None:
    """Ninety puzzles of a hundred: with so few questions the accuracy may well be below the target."""
    result = shipped("logic-puzzles", target__accuracy=0.9)
    doubt = next(w for w in result.warnings if "is not certain" in w)
    assert doubt.endswith("the target of 90% is not certain")
    assert not any("is not certain" in w for w in shipped("logic-puzzles", target__accuracy=0.1).warnings)


def test_an_own_fleet_that_misses_its_slo_has_no_cost(tmp_path: Path) -> None:
    """No dollars are made up for it, and its row is named."""
    text = (CATALOG.roots[-1] / "scenarios/o1-class.yaml").read_text(encoding="utf-8")
    impossible = tmp_path / "impossible.yaml"
    impossible.write_text(re.sub(r"ttft_p95_s: \S+", "ttft_p95_s: 1e-6", text), encoding="utf-8")
    candidate = f"{{model: qwen3-30b-a3b, scenario: {impossible}}}"
    result = solve(f"name: a\nbenchmark: logic-puzzles\ncandidates: [{candidate}]\n")
    (line,) = result.lines
    assert line.value("cost_usd_per_answer") is None
    assert line.value("accuracy") is not None
    assert any(w.startswith("no priced own fleet meets its SLO: qwen3-30b-a3b") for w in result.warnings)
