"""What all readers share: a run as measured, the row it becomes, and how the load of a run is stated.

Definitions (those of `predict`): TTFT from sending a request to its first token; TPOT of a request
= (end to end - TTFT)/(output tokens - 1), its mean over requests; throughput in output tokens per
second over the whole run. Times in seconds. A value that a file does not hold is None.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeVar

import numpy as np

from planner.calibration.readers.documents import Fields, documents, peek
from planner.errors import BadInputError, unknown
from planner.loadtest.layouts import LOADS
from planner.loadtest.run import NUMBERS, REQUIRED, TEXTS, Row
from planner.scenario.load import parse_value

T = TypeVar("T")
MEASURED = ("measured_ttft_mean_s", "measured_tpot_mean_s", "measured_output_tokens_per_s")
DURATION = "duration_s"
"""The one thing to give that is no column: how long a server ran, for a dump that does not say."""
COLUMNS = (*TEXTS, *NUMBERS, *MEASURED, "source", "tool", "note")
_BOUND = 0.9
"""Share of the allowed concurrency in flight from which it, and not the request rate, bounds a run."""
_SUSTAINED = 0.8
"""Share of the offered rate that a run has to serve to count as keeping up."""


@dataclass(frozen=True)
class Reader:
    """A format: its name, how to tell it, and how to read it.

    `read(text, where, given)` returns one row per run; `given` holds what the file does not state.
    """

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[str, str, Row], list[Row]]


@dataclass(frozen=True)
class Load:
    """How the requests of a run came."""

    concurrency: float | None = None
    """Requests in flight."""
    request_rate: float | None = None
    """Requests per second."""
    notes: tuple[str, ...] = ()
    maximum: bool = False
    """Stated: as many requests as the server takes, so neither of the two above."""


@dataclass(frozen=True)
class Run:
    """One run as a file states it; None where it states nothing."""

    ttft_s: float | None
    tpot_s: float | None
    output_tokens_per_s: float | None
    input_tokens: float | None
    output_tokens: float | None
    load: Load = Load()
    stated: Row = field(default_factory=dict)
    """Other columns that the file states; None or an empty text is nothing."""
    notes: Sequence[str] = ()
    where: str = ""
    """The place of the run where a file holds several."""
    tool: str = ""
    """The tool that wrote it, where a format has several."""


class NothingCompletedError(BadInputError):
    """A run in which no request was answered."""


def json_reader(name: str, recognises: Callable[[Mapping[str, object]], bool], run: Callable[[Fields], Run]) -> Reader:
    """Return the reader of a format with one run per JSON object, told by the fields of the first."""

    def read(content: str, where: str, given: Row) -> list[Row]:
        return rows(documents(content, where), run, name, where, given)

    return Reader(name, lambda content: recognises(peek(content)), read)


def rows(parts: Iterable[T], run: Callable[[T], Run], tool: str, where: str, given: Row) -> list[Row]:
    """Return the rows of a file's runs, what they do not state taken from `given`.

    One of several runs that completed nothing is left out and noted in the others.
    """
    runs, empty = [], []
    for part in parts:
        try:
            runs.append(run(part))
        except NothingCompletedError as error:
            empty.append(error)
    if empty and not runs:
        raise empty[0]
    note = [f"{len(empty)} more in the file completed no request: left out"] if empty else []
    stem = given.get("id") or PurePath(where).stem
    names = [stem] if len(runs) == 1 else [f"{stem}-{i}" for i in range(1, len(runs) + 1)]
    return [_row(one, name, note, tool, where, given) for one, name in zip(runs, names, strict=True)]


def values_given(given: Mapping[str, str]) -> Row:
    """Return `--given` fields as columns: texts and numbers. Refuses fields that no row has, and what is no number."""
    return {name: _value_given(name, text) for name, text in given.items()}


def _value_given(name: str, text: str) -> str | float:
    known = (*TEXTS, *NUMBERS, DURATION)
    if name not in known:
        raise BadInputError(unknown("field", name, known), where="--given")
    if not text.strip():
        raise BadInputError(f"{name} is empty; expected {name}=VALUE", where="--given")
    if name in TEXTS:
        return text
    value: str | float = parse_value(text, f"--given {name}")
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0 or (name == DURATION and not value):
        raise BadInputError(f"{text!r} is not a positive number", where=f"--given {name}")
    return value


def _row(run: Run, name: str, notes: Sequence[str], tool: str, where: str, given: Row) -> Row:
    place = run.where or where
    stated = {k: v for k, v in run.stated.items() if v not in {None, ""}}
    model, renamed = _model(stated.get("model", ""), given.get("model", ""))
    lengths = {"input_tokens": run.input_tokens, "output_tokens": run.output_tokens}
    values = {**given, **stated, "id": name, "model": model} | {k: v for k, v in lengths.items() if v}
    load = {"concurrency": run.load.concurrency or None, "request_rate": run.load.request_rate or None}
    if any(load.values()) or run.load.maximum:
        values |= load
    _refuse_gaps(values, stated_load=run.load.maximum or any(values.get(k) is not None for k in LOADS), where=place)
    found = dict(zip(MEASURED, (run.ttft_s, run.tpot_s, run.output_tokens_per_s), strict=True))
    if not any(found.values()):
        raise BadInputError("holds no TTFT, TPOT or throughput above 0; there is nothing to compare", where=place)
    zero = [f"{k.removeprefix('measured_')} is 0 in the file: not measured" for k, v in found.items() if v == 0]
    said = [*run.notes, *run.load.notes, *notes, *renamed, *zero]
    values |= {k: v or None for k, v in found.items()}
    values |= {"source": place, "tool": run.tool or tool, "note": "; ".join(said)}
    return {column: values.get(column) for column in COLUMNS}


def _model(stated: str, given: str) -> tuple[str, list[str]]:
    """Return the model and a note: a Hugging Face id in the file wins, a path or a served name is only an alias."""
    if not stated or not given or stated == given:
        return stated or given, []
    if stated.count("/") == 1 and not stated.startswith(("/", ".", "~")):
        return stated, [f"model {given} was given, the file states {stated}"]
    return given, [f"model {given} as given; the file calls it {stated}"]


def _refuse_gaps(values: Row, *, stated_load: bool, where: str) -> None:
    missing = [name for name in REQUIRED if values.get(name) in {None, ""}]
    if missing:
        how = " ".join(f"--given {name}=VALUE" for name in missing)
        raise BadInputError(f"does not state {', '.join(missing)}; give it with {how}", where=where)
    if not stated_load:
        how = "--given concurrency=VALUE or --given request_rate=VALUE"
        raise BadInputError(f"does not state the load (concurrency or request_rate); give it with {how}", where=where)


def offered_load(
    rate: float | None, limit: float | None, sent: float, served_per_s: float, in_flight: float | None
) -> Load:
    """Return the load of a client that sends at a rate to at most so many requests in flight.

    Where both are set, the one that binds counts: the limit if nearly as many were in flight.

    Parameters
    ----------
    rate : offered requests per second; None, 0 or infinity: all at once.
    limit : most requests in flight; None or 0: no limit.
    sent : requests of the run.
    served_per_s : requests answered per second.
    in_flight : mean number of requests in flight, where it is known.
    """
    if rate in {None, 0, math.inf}:
        if limit:
            return Load(min(limit, sent))
        return Load(sent, None, (f"all {sent:.0f} requests sent at once: a burst, not a steady state",))
    if limit and in_flight is not None and in_flight >= _BOUND * limit:
        return Load(min(limit, sent))
    behind = served_per_s < _SUSTAINED * rate
    note = f"offered {rate:g} requests/s, served {served_per_s:.3g}: the run did not keep up, or was short"
    return Load(None, rate, (note,) if behind else ())


def failures(failed: float, completed: float, where: str) -> list[str]:
    """Return a note where requests failed: their load is in the run, their latency is not.

    Raises NothingCompletedError where no request was answered.
    """
    if completed == 0:
        message = f"no request completed ({failed:.0f} failed); there is nothing to compare"
        raise NothingCompletedError(message, where=where)
    return [f"{failed:.0f} of {failed + completed:.0f} requests failed"] if failed > 0 else []


def speculation(drafted: float, yielded: float) -> dict[str, float]:
    """Return the columns of speculative decoding: the acceptance a with 1 + a + ... + a^drafted = yielded.

    >>> speculation(2.0, 1.75)
    {'speculative_tokens': 2.0, 'acceptance': 0.5}
    """
    acceptance = np.linspace(0.0, 1.0, 10_001)
    tokens = np.sum([acceptance**j for j in range(round(drafted) + 1)], axis=0)
    return {"speculative_tokens": drafted, "acceptance": round(float(np.interp(yielded, tokens, acceptance)), 4)}
