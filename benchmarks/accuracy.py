"""Write docs/accuracy.md: how far predictions are from measurements.

python benchmarks/accuracy.py            # fits without each model and each GPU: about a minute
python benchmarks/accuracy.py --ship     # also without each architecture and order of length; writes hardware/engines
"""

import argparse
import datetime as dt
from pathlib import Path

import numpy as np

from planner.calibration.bench import METRICS, Bench, prepare
from planner.calibration.fit import Fitted
from planner.calibration.ledger import Errors, Ledger, errors, groups, in_sample, left_out
from planner.calibration.overlay import Evidence, engine_file
from planner.calibration.silicon import benchmark_rows, read_silicon
from planner.specs import Catalog
from planner.specs.hardware import EngineSpec

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
ORIGIN = "silicon_sample.csv of aiconfigurator-core 0.12.0, measured 2025-07 to 2026-04"
NAMES = {"ttft_mean_s": "TTFT", "tpot_mean_s": "TPOT", "output_tokens_per_s_per_gpu": "output tokens/s/GPU"}
WORST = 20
HEAD = """# How sure the predictions are

Written by `benchmarks/accuracy.py`; the same figures: `planner calibrate --data silicon --leave-out model`.
Measured are the {runs:,} recommended aggregated runs of aiconfigurator-core ([how they were cleaned](silicon.md));
none is dropped for its error. Predicted is what `planner predict` shows with engine factors fitted **without** the
model (DeepSeek V3 and R1 are one) or the GPU of the run. Error: |predicted/measured − 1|. Bias: median of
predicted/measured − 1. Held: share of the runs inside p10-p90, an interval from the errors of the other folds.
{unfit} runs have no prediction: the model says they do not fit.
"""
TAIL = """
## What holds it back
Where the errors are is measured; why is what we think, and no experiment has isolated it yet.

- SGLang's TTFT: some of its runs queue for seconds at the start, and DeepSeek on B300 ran at a third of its speed on
  B200; the host's share sits on its bounds of 0.1 s a request and 20 ms a prompt.
- Engine versions are not a factor, though a GPU gained 1.9 times on DeepSeek-R1 between two rounds of MLPerf: as a
  yearly gain it made unseen models worse. vLLM 0.12 with 8-bit Qwen3-235B is half as fast as newer versions are with
  models of its kind.
- gpt-oss on B200: about 15 % too slow; its kernels are better tuned than the others'.
- TTFT beyond 128 requests in flight is still too low.
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


def by_group(ledger: Ledger) -> list[str]:
    """Return the table by engine, GPU, model, length and concurrency: median error and bias of each metric."""
    titles = [f"{NAMES[m]} {what}" for m in METRICS for what in ("error", "bias")]
    out = [line(["by", "group", "runs", *titles]), line(["---"] * (3 + len(titles)))]
    for (kind, name), use in list(groups(ledger.bench).items())[1:]:
        found = [errors(ledger, metric, use) for metric in METRICS]
        out.append(line([kind, name, f"{use.sum():,}", *(f"{x:.1%}" for e in found for x in (e.median, e.bias))]))
    return out


def worst(ledger: Ledger) -> list[str]:
    """Return the runs with the largest TPOT error."""
    ratio = ledger.predicted["tpot_mean_s"] / ledger.bench.measured["tpot_mean_s"]
    order = np.argsort(-np.nan_to_num(np.abs(np.log(ratio))))[:WORST]
    out = [line(["run", "model", "GPU", "engine", "measured ms", "predicted/measured"]), line(["---"] * 6)]
    models, gpus, engines = (ledger.bench.labels(kind) for kind in ("model", "gpu", "engine"))
    for i in order:
        ms = f"{ledger.bench.measured['tpot_mean_s'][i] * 1e3:.1f}"
        out.append(line([f"`{ledger.bench.ids[i]}`", models[i], gpus[i], engines[i], ms, f"{ratio[i]:.2f}"]))
    return out


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
    bench = prepare(benchmark_rows(read_silicon()), Catalog())
    whole, fitted = in_sample(bench)
    apart = {kind: left_out(bench, kind) for kind in ("model", "gpu")}
    if parser.parse_args().ship:
        ship(bench, whole, fitted, dict(apart))
    ledgers = {"fitted on all": whole} | {f"without its {kind}": ledger for kind, ledger in apart.items()}
    unfit = int(np.isnan(whole.predicted["tpot_mean_s"]).sum())
    parts = [
        HEAD.format(runs=len(bench.ids), unfit=unfit),
        "\n".join(summary(ledgers)),
        "\n## By group, each model predicted without its runs\n",
        "\n".join(by_group(ledgers["without its model"])),
        f"\n## The {WORST} largest errors of TPOT, each model predicted without its runs\n",
        "\n".join(worst(ledgers["without its model"])),
        TAIL,
    ]
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    print("\n".join(summary(ledgers)))


if __name__ == "__main__":
    main()
