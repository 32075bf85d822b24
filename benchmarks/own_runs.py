"""Do a few measurements of one's own pull the prediction in? A model that was never fitted, then k of its runs.

python benchmarks/own_runs.py            # about a minute and a half

For each model: factors fitted without it (as `planner calibrate --leave-out model`), then moved by k of its runs (as
`planner calibrate FILE`), drawn from one GPU, engine, precision and layout and spread over concurrency. The error is
that of the model's other runs on the GPU and engine; all k are judged on the same runs.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from silicon.read import benchmark_rows, read_silicon

from planner.calibration.bench import METRICS, Bench, prepare, shown_by
from planner.calibration.fit import Fitted, fit
from planner.catalog.catalog import Catalog
from planner.serving.normal import Array

NAMES = {"ttft_mean_s": "TTFT", "tpot_mean_s": "TPOT", "output_tokens_per_s_per_gpu": "output tokens/s/GPU"}
DRAWS = 6
MOST = 5
PICKS = {3: (0, 2, 4), 5: (0, 1, 2, 3, 4)}
"""Own runs -> which of the MOST drawn, by concurrency: the fewer are among the more."""
FEWEST_OTHERS = 5
Errors = dict[tuple[int, str], Array]
"""(Own runs, metric) -> the relative errors of the other runs."""


def pools(bench: Bench) -> dict[tuple[str, str], list[Array]]:
    """Return (GPU, engine) -> the indices of its runs, by precision and layout, where enough are left to judge by."""
    places, alike = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for i, (run, place) in enumerate(zip(bench.runs, zip(bench.labels("gpu"), bench.labels("engine"), strict=True),
                                         strict=True)):  # fmt: skip
        places[place].append(i)
        alike[place][run.precision, run.layout].append(i)
    found = {}
    for place, sets in alike.items():
        fit_to_draw = [np.asarray(runs) for runs in sets.values() if len(runs) >= MOST]
        if fit_to_draw and len(places[place]) >= MOST + FEWEST_OTHERS:
            found[place] = fit_to_draw
    return found


def spread(bench: Bench, runs: Array, draw: np.random.Generator) -> Array:
    """Return MOST of the runs, one at random from each fifth of them by concurrency."""
    order = runs[np.lexsort((draw.random(runs.size), bench.concurrency[runs]))]
    return np.asarray([draw.choice(part) for part in np.array_split(order, MOST)])


def draws(bench: Bench, general: Fitted, count: int, seed: int) -> Iterator[Errors]:
    """Yield the errors of each draw of own runs of a model: first of each GPU and engine in turn, at random."""
    draw, found = np.random.default_rng(seed), pools(bench)
    places = list(found)
    for turn in range(count if places else 0):
        if turn % len(places) == 0:
            order = draw.permutation(len(places))
        place = places[order[turn % len(places)]]
        sets = found[place]
        own = spread(bench, sets[draw.choice(len(sets), p=[s.size / sum(t.size for t in sets) for s in sets])], draw)
        there = np.asarray([p == place for p in zip(bench.labels("gpu"), bench.labels("engine"), strict=True)])
        there[own] = False
        yield errors(bench, general, own, bench.part(there))


def errors(bench: Bench, general: Fitted, own: Array, others: Bench) -> Errors:
    """Return the errors of the other runs before and after the factors were moved by own runs."""
    found = {}
    for k in (0, *PICKS):
        if k:
            use = np.isin(np.arange(len(bench.ids)), own[list(PICKS[k])])
            fitted = fit(bench.part(use), general.values)
        else:
            fitted = general
        for metric, values in shown_by(others, fitted.columns(others)).items():
            found[k, metric] = np.abs(values / others.measured[metric] - 1.0)
    return found


def medians(found: list[Errors]) -> dict[tuple[int, str], float]:
    """Return the median error of each draw, averaged over the draws."""
    return {key: float(np.mean([np.nanmedian(errors_of[key]) for errors_of in found])) for key in found[0]}


def row(name: str, found: list[Errors]) -> str:
    """Return a row of the table."""
    by = medians(found)
    cells = [" → ".join(f"{by[k, metric]:.1%}" for k in (0, *PICKS)) for metric in reversed(METRICS)]
    return f"| {name} | {len(found)} | {' | '.join(cells)} |"


def table(bench: Bench, fitted: Mapping[str, Fitted], count: int = DRAWS, seed: int = 1) -> list[str]:
    """Return the errors by model; `fitted` are the factors without each model."""
    titles = [f"{NAMES[m]}: {', '.join(map(str, (0, *PICKS)))} own runs" for m in reversed(METRICS)]
    out = [f"| model | draws | {' | '.join(titles)} |", f"| {' | '.join(['---'] * (2 + len(titles)))} |"]
    models, every = np.asarray(bench.labels("model")), []
    for model in sorted(fitted):
        found = list(draws(bench.part(models == model), fitted[model], count, seed))
        if found:
            out.append(row(model, found))
            every += found
    return [*out, row("all", every)]


def main() -> None:
    """Fit without each model, then with a few of its runs; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws of own runs for each model")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    bench = prepare(benchmark_rows(read_silicon()), Catalog())
    models = np.asarray(bench.labels("model"))
    fitted = {model: fit(bench.part(models != model)) for model in sorted(set(models.tolist()))}
    print("\n".join(table(bench, fitted, given.draws, given.seed)))


if __name__ == "__main__":
    main()
