"""Write docs/accuracy.md: how far predictions are from measurements.

python benchmarks/accuracy.py            # fits without each model and each GPU: two to three minutes
python benchmarks/accuracy.py --ship     # also without each architecture and order of length; writes hardware/engines

Sections from the shared data ($PLANNER_SHARED_DATA, else ../shared) stay as the page has them where those are missing.
"""

import argparse
import datetime as dt
import re
import textwrap
from pathlib import Path

import numpy as np
import own_runs
import published
import side_by_side
from reasons import Evidence as Known
from silicon.read import benchmark_rows, read_silicon

from planner.calibration.bench import METRICS, Bench, prepare
from planner.calibration.fit import Fitted
from planner.calibration.ledger import Errors, Ledger, errors, groups, in_sample, left_out
from planner.calibration.overlay import Evidence, engine_file
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
ORIGIN = "silicon_sample.csv of aiconfigurator-core 0.12.0, measured 2025-07 to 2026-04"
NAMES = {"ttft_mean_s": "TTFT", "tpot_mean_s": "TPOT", "output_tokens_per_s_per_gpu": "output tokens/s/GPU"}
WORST = 20
WIDTH = 118
OVERFIT = 1 / 3
"""Share of the in-sample error by which leaving out may add to it before the fit is said to overfit."""
PUBLISHED = "Published runs that were never fitted"
SIDE = "Beside aiconfigurator"
HEAD = """# How sure the predictions are

Written by `benchmarks/accuracy.py`; the same figures from the command line: [silicon.md](silicon.md).
Measured are the {runs:,} recommended aggregated runs of aiconfigurator-core ([how they were cleaned](silicon.md));
none is dropped for its error. Predicted is what `planner predict` shows with engine factors fitted **without** the
model (DeepSeek V3 and R1 are one) or the GPU of the run. Error: |predicted/measured − 1|. Bias: median of
predicted/measured − 1. Held: share of the runs inside p10-p90, an interval from the errors of the other folds (where
fitted on all, of the same runs: 80 % by construction).
{unfit} runs have no prediction: the model says they do not fit.
"""
PUBLISHED_TEXT = """
`benchmarks/published.py`: runs of others, on engines, GPUs and models of which none or few were fitted, by the shipped
engine files. Wanted: the largest median error aimed at. Held: share measured inside the p10-p90 of
`planner predict` for what is unseen in the case (80 % promised); a dash where it has no interval. Not quite unseen: the
speed of AMD's GPUs is the median of MLPerf's Offline runs on them, and power was fitted to ML.ENERGY.
"""
ASSUMED = (
    "Assumed: ML.ENERGY states no input lengths, taken as {chat} tokens (chat) and {gpqa} (GPQA); 100 fewer and 100 "
    "more make its median error {throughput} in throughput, {latency} in inter-token latency. MLPerf states none, "
    "but for llama-3.1-405b; mean tokens assumed from the data sets: {inputs}. In its Server runs lengths spread by "
    "0.7 of their mean, by 0.4 for llama-3.1-405b (with 0.7 there too the median error of Server is 24 %)."
)
SIDE_TEXT = """
The same runs: aiconfigurator 0.12 with its default database, on the corrected columns; the planner predicts each model
without its runs. Share: of the runs with that measurement. aiconfigurator's database holds kernels measured on these
GPUs, and nothing was left out of it.
"""
OWN_TEXT = """
## A few runs of one's own

A model that was left out, then the factors moved by 3 or 5 of its runs, as `planner calibrate FILE` does
(`benchmarks/own_runs.py`): drawn from one GPU, engine, precision and layout, spread over concurrency, {draws} draws
of each model. Median error of the model's other runs on that GPU and engine, mean over the draws. A model that was met
well without its runs gains nothing: MiniMax on H200 is predicted 15 % too fast at TP 4, measured on vLLM 0.16, and
right at TP 8, measured on 0.18, so runs of one mislead about the other.
"""
TAIL = """
## What holds it back
Where the errors are is measured; why is what we think, and no experiment has isolated it yet.

- SGLang's TTFT: some of its runs queue for seconds at the start, and DeepSeek on B300 ran at a third of its speed on
  B200; the host's share sits on its bounds of 0.1 s a request and 20 ms a prompt.
- Engine versions are not a factor, though a GPU gained 1.9 times on DeepSeek-R1 between two rounds of MLPerf: as a
  yearly gain it made unseen models worse. vLLM 0.12 with 8-bit Qwen3-235B is half as fast as newer versions are with
  models of its kind.
- gpt-oss, predicted without its runs: on H200 TPOT is 33 % too short on TensorRT-LLM and 13 % on vLLM, on B200 11 % and
  5 % too long; one set of kernel factors does not hold both.
- Factors that stand on a bound are the bound's, not the data's: attention_compute_efficiency 0.35, scheduling_steps 3,
  overlap_exponent 1, expert_memory_efficiency 0.95, and SGLang's host times.
- TTFT beyond 128 requests in flight is still too low.
- The width of TTFT's interval (p90/p10 2.7 over all runs) is 2.0 on vLLM, 3.3 on TensorRT-LLM and 5.2 on SGLang, where
  nightly and unversioned builds of one configuration differ by several times. Intervals by load, by length or by
  version, from the other models' runs, come to 2.5 at the same coverage; what differs is not in what a run states.
"""


def line(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cells(found: Errors) -> list[str]:
    """Return median, mean, 90th percentile, bias and coverage as text."""
    return [f"{x:.1%}" for x in found[1:]]


def summary(ledgers: dict[str, Ledger]) -> list[str]:
    """Return the table of all runs."""
    out = [line(["metric", "predicted", "median error", "mean", "p90", "bias", "held"]), line(["---"] * 7)]
    for metric in METRICS:
        out += [line([NAMES[metric], title, *cells(errors(ledger, metric))]) for title, ledger in ledgers.items()]
    return out


def overfit(ledgers: dict[str, Ledger]) -> str:
    """Return what leaving out adds to the median error of each metric, and whether that is too much."""
    whole, *apart = ledgers.items()
    parts, over = [], []
    for metric in METRICS:
        base = errors(whole[1], metric).median
        more = [(title, errors(ledger, metric).median - base) for title, ledger in apart]
        added = ", ".join(f"{x * 100:+.1f} {title}" for title, x in more)
        parts.append(f"{NAMES[metric]} {added} (bar {base * OVERFIT * 100:.1f})")
        over += [f"{NAMES[metric]} {title}" for title, x in more if x > base * OVERFIT]
    verdict = f"It overfits: {', '.join(over)}." if over else "None is over it: the fit does not overfit."
    told = f"What leaving out adds to the median error, in percentage points: {'; '.join(parts)}."
    return "\n" + wrapped(f"{told} The bar is a third of the error of the fit on all. {verdict}")


def by_class(ledger: Ledger) -> list[str]:
    """Return the table by GPU and architecture: TPOT and throughput."""
    shown = METRICS[1:]
    titles = [f"{NAMES[m]} {what}" for m in shown for what in ("error", "bias")]
    out = [line(["GPU", "architecture", "runs", *titles]), line(["---"] * (3 + len(titles)))]
    pairs = list(zip(ledger.bench.labels("gpu"), ledger.bench.labels("architecture"), strict=True))
    for pair in sorted(set(pairs)):
        use = np.asarray([p == pair for p in pairs])
        found = [errors(ledger, metric, use) for metric in shown]
        out.append(line([*pair, f"{use.sum():,}", *(f"{x:.1%}" for e in found for x in (e.median, e.bias))]))
    return out


def by_group(ledger: Ledger) -> list[str]:
    """Return the table by engine, GPU, model, length and concurrency: median error and bias of each metric."""
    titles = [f"{NAMES[m]} {what}" for m in METRICS for what in ("error", "bias")]
    out = [line(["by", "group", "runs", *titles]), line(["---"] * (3 + len(titles)))]
    for (kind, name), use in list(groups(ledger.bench).items())[1:]:
        found = [errors(ledger, metric, use) for metric in METRICS]
        out.append(line([kind, name, f"{use.sum():,}", *(f"{x:.1%}" for e in found for x in (e.median, e.bias))]))
    return out


def worst(ledger: Ledger, known: Known) -> list[str]:
    """Return the runs with the largest TPOT error, and what the data say of them."""
    ratio = ledger.predicted["tpot_mean_s"] / ledger.bench.measured["tpot_mean_s"]
    order = np.argsort(-np.nan_to_num(np.abs(np.log(ratio))))[:WORST]
    out = [line(["run", "model", "GPU", "engine", "measured ms", "predicted/measured", "the data say"])]
    out.append(line(["---"] * 7))
    models, gpus, engines = (ledger.bench.labels(kind) for kind in ("model", "gpu", "engine"))
    for i in order:
        ms = f"{ledger.bench.measured['tpot_mean_s'][i] * 1e3:.1f}"
        name = f"`{ledger.bench.ids[i]}`"
        out.append(line([name, models[i], gpus[i], engines[i], ms, f"{ratio[i]:.2f}", known.reason(int(i))]))
    return out


def published_section() -> str:
    """Return the table of published runs with what it assumes."""
    table = [*published.HEADER, *(published.line(check) for check in published.checks())]
    shifted = [
        {c.metric: c.median for c in published.ml_energy(shift) if c.name == "ML.ENERGY"} for shift in (-100, 100)
    ]
    throughput, latency = (
        " and ".join(f"{found[metric]:.1%}" for found in shifted) for metric in ("throughput", "inter-token latency")
    )
    inputs = ", ".join(f"{model} {tokens:,}" for model, tokens in published.MLPERF_INPUT.items())
    chat, gpqa = (published.ML_ENERGY_INPUT[task] for task in ("lm-arena-chat", "gpqa"))
    assumed = ASSUMED.format(chat=chat, gpqa=gpqa, throughput=throughput, latency=latency, inputs=inputs)
    return "\n".join([PUBLISHED_TEXT, *table, "", wrapped(assumed)])


def wrapped(text: str) -> str:
    """Return a paragraph in lines of the page's width."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def kept(page: str, title: str) -> str:
    """Return what a page has under a heading, or nothing."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def shared_sections(ledger: Ledger, page: str) -> list[str]:
    """Return the sections that need the shared data; as the page has them where those are missing."""
    makers = {
        PUBLISHED: published_section,
        SIDE: lambda: "\n".join([SIDE_TEXT, *side_by_side.table(ledger), ""]),
    }
    there = published.DATA.is_dir()
    found = {title: make() if there else kept(page, title) for title, make in makers.items()}
    return [f"\n## {title}\n{text.rstrip()}" for title, text in found.items() if text]


def own_section(ledger: Ledger) -> list[str]:
    """Return what a few runs of a left-out model add."""
    return [OWN_TEXT.format(draws=own_runs.DRAWS), *own_runs.table(ledger.bench, ledger.fitted)]


def ship(bench: Bench, whole: Ledger, fitted: Fitted, apart: dict[str, Ledger]) -> None:
    """Write the shipped engine files: factors, what they were fitted on, how far off they were without it."""
    apart |= {kind: left_out(bench, kind) for kind in ("architecture", "lengths")}
    evidence = Evidence(ORIGIN, dt.datetime.now(tz=dt.UTC).date(), whole, apart)
    for engine in fitted.values:
        loaded = Catalog().get(EngineSpec, engine)
        loaded.document.data["sources"].pop("fitted", None)  # what was shipped is replaced, not kept as an earlier fit
        path = ROOT / "hardware" / "engines" / f"{engine}.yaml"
        path.write_text(engine_file(loaded, fitted, evidence), encoding="utf-8")


def main() -> None:
    """Fit, leave out, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ship", action="store_true", help="write the shipped engine files")
    rows = read_silicon()
    bench = prepare(benchmark_rows(rows), Catalog())
    whole, fitted = in_sample(bench)
    apart = {kind: left_out(bench, kind) for kind in ("model", "gpu")}
    if parser.parse_args().ship:
        ship(bench, whole, fitted, dict(apart))
    ledgers = {"fitted on all": whole} | {f"without its {kind}": ledger for kind, ledger in apart.items()}
    by_model, of_id = apart["model"], {row.id: row for row in rows}
    unfit = int(np.isnan(whole.predicted["tpot_mean_s"]).sum())
    parts = [
        HEAD.format(runs=len(bench.ids), unfit=unfit),
        *summary(ledgers),
        overfit(ledgers),
        *shared_sections(by_model, PAGE.read_text(encoding="utf-8")),
        *own_section(by_model),
        "\n## By group, each model predicted without its runs\n",
        *by_group(by_model),
        "\n## By GPU and architecture, each model predicted without its runs\n",
        *by_class(by_model),
        f"\n## The {WORST} largest errors of TPOT, each model predicted without its runs\n",
        "The last column is by the rules of `benchmarks/reasons.py`; a dash where the runs say nothing.\n",
        *worst(by_model, Known([of_id[name] for name in bench.ids], by_model)),
        TAIL,
    ]
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    print("\n".join(summary(ledgers)))


if __name__ == "__main__":
    main()
