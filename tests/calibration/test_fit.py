"""Fits: known factors are found again, silent ones stay, intervals hold what they promise; the command end to end."""

import csv
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.calibration.bench import METRICS, Bench, contradictions, direct, prepare, shown_by, unsteady
from planner.calibration.fit import FACTORS, Fitted, fit, starts_of
from planner.calibration.ledger import Ledger, errors, groups, in_sample, left_out
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec
from planner.errors import BadInputError, DataMissingError

CATALOG = Catalog()
MODELS = {"llama-3.1-8b": "1", "qwen3-32b": "2", "llama-3.1-70b": "4"}
TRUTH = {
    "memory_efficiency": 0.7, "compute_efficiency": 0.5, "layer_overhead_s": 2e-5, "request_overhead_s": 0.06,
    "sequence_overhead_s": 2e-5, "step_overhead_s": 3.5e-4,
}  # fmt: skip
EXPERTS = {
    "expert_memory_efficiency", "expert_half_width", "moe_overhead", "shared_expert_overhead", "mla_overhead",
    "sparse_overhead", "linear_overhead", "fp4_overhead",
}  # fmt: skip


def rows(models: dict[str, str] = MODELS, gpus: tuple[str, ...] = ("h100-sxm", "h200-sxm")) -> list[dict[str, str]]:
    """Return runs over models, GPUs, lengths and concurrency; what was measured is put in later."""
    grid = itertools.product(models.items(), gpus, ("256", "1024", "6000"), ("1", "8", "64"))
    return [
        {"id": f"{m}-{g}-{i}-{c}", "model": m, "gpu": g, "engine": "vllm", "precision": "fp8", "tensor_parallel": tp,
         "input_tokens": i, "output_tokens": "512", "concurrency": c, "measured_tpot_mean_s": "0.01"}
        for (m, tp), g, i, c in grid
    ]  # fmt: skip


def true_values(truth: dict[str, float] = TRUTH) -> Fitted:
    """Return the truth: the catalogue's factors but for some."""
    return Fitted({"vllm": starts_of(CATALOG, ["vllm"])["vllm"] | truth}, {})


def measured(noise: float = 0.0, seed: int = 7, truth: dict[str, float] = TRUTH) -> Bench:
    """Return runs measured on an engine with the true factors, with a noise in logarithms."""
    bench, draw = prepare(rows(), CATALOG), np.random.default_rng(seed)
    shown = shown_by(bench, true_values(truth).columns(bench))
    return dataclasses.replace(
        bench, measured={k: v * np.exp(noise * draw.standard_normal(v.shape)) for k, v in shown.items()}
    )


def test_known_factors_are_found_again() -> None:
    """From textbook starts a fit explains what an engine with other factors shows, and finds the ones that tell."""
    bench = measured()
    fitted = fit(bench)
    for metric, value in shown_by(bench, fitted.columns(bench)).items():
        assert np.median(np.abs(value / bench.measured[metric] - 1)) < 0.05, metric
    found = fitted.values["vllm"]
    assert found["memory_efficiency"] == pytest.approx(0.7, rel=0.15)
    assert found["compute_efficiency"] == pytest.approx(0.5, rel=0.25)
    assert found["request_overhead_s"] == pytest.approx(0.06, rel=0.35)


def test_factors_without_data_stay_where_they_are() -> None:
    """Dense models say nothing of experts: those factors are named and keep the catalogue's values."""
    bench = measured()
    starts = starts_of(CATALOG, ["vllm"])
    fitted = fit(bench, starts)
    assert set(fitted.silent["vllm"]) >= EXPERTS
    for name in EXPERTS:
        low = next(f.low for f in FACTORS if f.name == name)
        assert fitted.values["vllm"][name] == pytest.approx(max(starts["vllm"][name], low), rel=1e-3)


def test_a_few_own_runs_pull_the_others_in() -> None:
    """Three, then five runs of one model on one GPU with slower launches bring its other runs there closer."""
    slower = {"memory_efficiency": 0.8, "layer_overhead_s": 6e-5, "request_overhead_s": 0.06}
    bench, starts = measured(noise=0.03, truth=slower), starts_of(CATALOG, ["vllm"])
    there = [i for i, run in enumerate(bench.ids) if run.startswith("qwen3-32b-h100")]
    own = [there[i] for i in (0, 5, 8, 1, 6)]
    others = bench.part(np.isin(np.arange(54), [i for i in there if i not in own]))
    found = []
    for k in (0, 3, 5):
        fitted = fit(bench.part(np.isin(np.arange(54), own[:k])), starts) if k else Fitted(starts, {})
        shown = shown_by(others, fitted.columns(others))["tpot_mean_s"]
        found.append(np.mean(np.abs(shown / others.measured["tpot_mean_s"] - 1)))
    assert found[1] < 0.7 * found[0]
    assert found[2] < 0.5 * found[0]


def test_bounds_hold() -> None:
    """Measurements ten times too fast do not push a factor beyond its physics."""
    bench = measured()
    fast = dataclasses.replace(bench, measured={k: v / 10 for k, v in bench.measured.items()})
    for factor in FACTORS:
        assert factor.low <= fit(fast).values["vllm"][factor.name] <= factor.high


def test_the_quick_prediction_of_a_fit_is_close_to_the_shown_one() -> None:
    """A fit compares without a root search: TPOT within 8 % of what `predict` shows, TTFT within a quarter."""
    bench = measured()
    quick = direct(bench, true_values().columns(bench))
    assert quick.tpot_s == pytest.approx(bench.measured["tpot_mean_s"], rel=0.08)
    assert quick.ttft_s == pytest.approx(bench.measured["ttft_mean_s"], rel=0.25)


def test_what_was_left_out_is_not_in_its_own_prediction() -> None:
    """Runs of a GPU measured at twice the time change the predictions of the others, never their own."""
    bench = measured()
    odd = np.asarray([g == "h200-sxm" for g in bench.labels("gpu")])
    slow = {k: np.where(odd, v * 2, v) for k, v in bench.measured.items()}
    plain, changed = left_out(bench, "gpu"), left_out(dataclasses.replace(bench, measured=slow), "gpu")
    for metric in METRICS:
        assert changed.predicted[metric][odd] == pytest.approx(plain.predicted[metric][odd], rel=1e-9)
    assert not np.allclose(changed.predicted["tpot_mean_s"][~odd], plain.predicted["tpot_mean_s"][~odd], rtol=0.05)


def test_intervals_hold_four_fifths() -> None:
    """With a noise of a fifth the intervals from the other folds hold about 80 % of the runs."""
    ledgers = [left_out(measured(noise=0.2, seed=seed), "model") for seed in range(4)]
    held = [errors(ledger, metric).covered for ledger in ledgers for metric in METRICS]
    assert 0.7 <= np.mean(held) <= 0.9


def test_errors_are_those_of_the_arithmetic() -> None:
    """Median, mean, bias and coverage by hand: predictions 10 % high and 30 % low, intervals around one of them."""
    bench = measured().part(np.arange(54) < 2)
    truth = {metric: np.asarray([1.0, 1.0]) for metric in METRICS}
    predicted = {metric: np.asarray([1.1, 0.7]) for metric in METRICS}
    bounds = {metric: {"p10": predicted[metric] * 0.9, "p90": predicted[metric] * 1.1} for metric in METRICS}
    ledger = Ledger(dataclasses.replace(bench, measured=truth), ["a", "b"], predicted, bounds)
    found = errors(ledger, "tpot_mean_s")
    assert found.runs == 2
    assert (found.median, found.mean, found.bias) == pytest.approx((0.2, 0.2, -0.1))
    assert found.covered == 0.5
    assert errors(ledger, "tpot_mean_s", np.asarray([False, False])).runs == 0


def test_groups_cover_every_run() -> None:
    """Each way to group sees each run once."""
    bench = measured()
    by_kind: dict[str, Any] = {}
    for (kind, _), use in groups(bench).items():
        by_kind[kind] = by_kind.get(kind, 0) + use.astype(int)
    assert set(by_kind) == {"all", "engine", "gpu", "model", "input tokens", "concurrency"}
    for counts in by_kind.values():
        assert np.all(counts == 1)


def test_in_sample_is_one_fit() -> None:
    """The ledger of all runs is predicted by the factors returned with it."""
    bench = measured()
    ledger, fitted = in_sample(bench)
    assert ledger.predicted["tpot_mean_s"] == pytest.approx(shown_by(bench, fitted.columns(bench))["tpot_mean_s"])


def test_what_cannot_be_used_says_why() -> None:
    """Unknown names and numbers out of range are left out with a reason; nothing left is an error."""
    good, bad = rows()[0], rows()[1] | {"measured_tpot_mean_s": "-1"}
    assert "measured_tpot_mean_s '-1' is out of range" in prepare([good, bad], CATALOG).left_out[bad["id"]]
    with pytest.raises(DataMissingError, match=r"none of 1 runs can be used; the first: .*concurrency"):
        prepare([good | {"concurrency": ""}], CATALOG)
    with pytest.raises(BadInputError, match="all runs are of engine vllm"):
        left_out(measured(), "engine")


def test_a_run_may_hold_numbers_or_their_text() -> None:
    """A row of a sheet and the same row with numbers, or with None for an empty cell, are one run."""
    texts = rows()[0] | {"measured_ttft_mean_s": "0.25", "request_rate": ""}
    words = {"id", "model", "gpu", "engine", "precision"}
    numbers = {k: v if k in words else float(v) if v else None for k, v in texts.items()}
    one, other = prepare([texts], CATALOG), prepare([numbers], CATALOG)
    assert one.measured["ttft_mean_s"] == other.measured["ttft_mean_s"] == 0.25
    assert str(one.runs[0].numbers) == str(other.runs[0].numbers)
    assert one.runs[0].layout == other.runs[0].layout
    for bad in (0.0, float("inf"), -1.0):
        with pytest.raises(DataMissingError, match=r"measured_ttft_mean_s .* is out of range"):
            prepare([numbers | {"measured_ttft_mean_s": bad}], CATALOG)


def test_runs_that_contradict_each_other_are_named() -> None:
    """Same configuration, TPOT more than 1.5 times apart: both ids and values; less, or another one, is no fault."""
    first = rows()[0] | {"measured_tpot_mean_s": "0.010"}
    bench = prepare([first, first | {"id": "again", "measured_tpot_mean_s": "0.0149"}], CATALOG)
    assert contradictions(bench) == []
    other = first | {"id": "other", "concurrency": "2", "measured_tpot_mean_s": "0.05"}
    slow = first | {"id": "slow", "measured_tpot_mean_s": "0.02", "note": "engine version 2"}
    (found,) = contradictions(prepare([first, other, slow], CATALOG))
    assert found.startswith(f"runs {first['id']} and slow are the same configuration but differ 2.0 times in TPOT")
    assert found.endswith("10 and 20 ms: both cannot be met")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a sheet of runs on an engine with the true factors."""
    bench = measured()
    columns = {f"measured_{m}": bench.measured[m] for m in METRICS}
    sheet = [row | {k: repr(float(v[i])) for k, v in columns.items()} for i, row in enumerate(rows())]
    path = tmp_path / "runs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, sheet[0])
        writer.writeheader()
        writer.writerows(sheet)
    return path


def test_the_command_writes_what_estimate_picks_up(call: Any, results: Path, tmp_path: Path) -> None:
    """Engine files go where --catalog finds them, with their origin; the ledger has a row for each run."""
    out, mine = tmp_path / "ledger.csv", tmp_path / "mine"
    done = call("calibrate", str(results), "--leave-out", "model", "--predictions", str(out), "--write", str(mine))
    assert done.code == 0, done.err
    assert "llama-3.1-70b" in done.out
    with out.open(encoding="utf-8", newline="") as file:
        ledger = list(csv.DictReader(file))
    assert [row["id"] for row in ledger] == [row["id"] for row in rows()]
    assert {row["fold"] for row in ledger} == set(MODELS)
    for row in ledger:
        assert float(row["tpot_mean_s_p10"]) <= float(row["tpot_mean_s_p90"])
    written = Catalog([mine]).get(EngineSpec, "vllm")
    assert written.spec.basis == "calibrated"
    assert written.spec.factors.memory_efficiency == pytest.approx(0.7, rel=0.15)
    assert "54 runs of runs.csv" in written.spec.sources["fitted"].title
    assert call("validate", str(mine / "hardware" / "engines" / "vllm.yaml")).code == 0
    assert call("estimate", "--catalog", str(mine), "--gpu", "h100-sxm", "--model", "qwen3-32b").code == 0


def test_a_second_fit_says_which_factors_are_of_which(call: Any, results: Path, tmp_path: Path) -> None:
    """On top of fitted files the new runs are the source of what moved, the earlier ones of what stayed."""
    one, two, few = tmp_path / "one", tmp_path / "two", tmp_path / "few.csv"
    assert call("calibrate", str(results), "--write", str(one)).code == 0
    few.write_text("".join(results.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    done = call("calibrate", str(few), "--catalog", str(one), "--write", str(two))
    assert done.code == 0, done.err
    written = Catalog([two]).get(EngineSpec, "vllm")
    assert "1 runs of few.csv" in written.spec.sources["fitted"].title
    assert "54 runs of runs.csv" in written.spec.sources["fitted-2"].title
    named = {name: written.document.source_name(("factors", name)) for name in ("memory_efficiency", "link_efficiency")}
    assert named == {"memory_efficiency": "fitted", "link_efficiency": "fitted-2"}


def test_a_fit_starts_where_it_is_told_to(call: Any, results: Path, tmp_path: Path) -> None:
    """One run without a TTFT leaves TTFT to the start: the catalogue's slow host of SGLang, or that of FACTORS."""
    with results.open(encoding="utf-8", newline="") as file:
        run = next(csv.DictReader(file)) | {"measured_ttft_mean_s": "", "engine": "sglang"}
    path = tmp_path / "one.csv"
    path.write_text("\n".join([",".join(run), ",".join(run.values())]), encoding="utf-8")
    bench = prepare([run], CATALOG)
    found = {}
    for start, starts in (("catalog", starts_of(CATALOG, ["sglang"])), ("textbook", None)):
        out = tmp_path / f"{start}.csv"
        assert call("calibrate", str(path), "--start", start, "--predictions", str(out)).code == 0
        with out.open(encoding="utf-8", newline="") as file:
            found[start] = float(next(csv.DictReader(file))["ttft_mean_s"])
        assert found[start] == pytest.approx(in_sample(bench, starts)[0].predicted["ttft_mean_s"][0], rel=1e-6)
    assert found["catalog"] > 1.5 * found["textbook"]


def test_the_origin_of_the_runs_is_what_the_user_says(call: Any, results: Path, tmp_path: Path) -> None:
    """--origin names the runs in the source of the factors; the files are named where it is not given."""
    for given, title in (("our H100 runs of May", "our H100 runs of May"), ("", "runs.csv")):
        mine = tmp_path / f"mine{len(given)}"
        options = ["--origin", given] if given else []
        assert call("calibrate", str(results), "--write", str(mine), *options).code == 0
        assert f"54 runs of {title}" in Catalog([mine]).get(EngineSpec, "vllm").spec.sources["fitted"].title


def test_runs_without_a_steady_state_are_named() -> None:
    """10 in flight, 0.1 s and 199 steps of 7 ms make 10 x 200/1.493 = 1,340 tokens/s: 1,300 is fine, 100 is not."""
    row = rows()[0] | {"concurrency": "10", "output_tokens": "200", "measured_tpot_mean_s": "0.007",
                       "measured_ttft_mean_s": "0.1"}  # fmt: skip
    steady, odd = (row | {"id": i, "measured_output_tokens_per_s": v} for i, v in (("a", "1300"), ("b", "100")))
    (found,) = unsteady(prepare([steady, odd], CATALOG))
    assert found.startswith("run b: its throughput is 0.075 times what its requests in flight and latencies make")


def test_few_and_contradicting_runs_are_warned_of(call: Any, results: Path, tmp_path: Path) -> None:
    """Two runs that differ twice: a sentence for the pair, one for the factors; the command goes on."""
    with results.open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    slow = first | {"id": "slow", "measured_tpot_mean_s": repr(2 * float(first["measured_tpot_mean_s"]))}
    path = tmp_path / "pair.csv"
    path.write_text("\n".join([",".join(first), ",".join(first.values()), ",".join(slow.values())]), encoding="utf-8")
    done = call("calibrate", str(path), "--notes")
    said = " ".join(done.err.split())
    assert done.code == 0, done.err
    assert f"runs {first['id']} and slow are the same configuration but differ 2.0 times in TPOT" in said
    assert said.count("2 runs are fewer than the 22 factors: updated ") == 1
    assert "all others unchanged" in said
    assert not set(EXPERTS) & set(said.replace(",", "").split())
    plenty = call("calibrate", str(results), "--notes")
    assert "fewer than" not in plenty.err
    assert "contradict" not in plenty.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no runs are given; expected result files of benchmarks"),
        (["runs.csv", "--given", "gpu"], "--given: 'gpu' has no value; expected COLUMN=VALUE"),
        (["runs.csv", "--given", "gpus_=h100"], "unknown field 'gpus_'"),
        (["no.csv"], "no.csv"),
        (["runs.csv", "--leave-out", "engine"], "all runs are of engine vllm"),
        (["runs.csv", "--write", "runs.csv"], "cannot be made"),
    ],
)
def test_bad_usage_is_one_line(
    call: Any, results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """Each fault is one line that says where and what was expected; nothing is written."""
    monkeypatch.chdir(results.parent)
    done = call("calibrate", *arguments)
    assert done.code in {2, 4}
    assert message in done.err.replace("\n", " ")
    assert sorted(p.name for p in results.parent.iterdir()) == ["runs.csv"]
