"""AIPerf and its predecessor GenAI-Perf: profile_export_aiperf / profile_export_genai_perf, JSON or CSV.

A request's inter_token_latency is (request latency - TTFT)/(output sequence length - 1), and avg is
the mean over requests: our TPOT, by the unit that the file states (ms). output_sequence_length counts
reasoning tokens, as we do. inter_chunk_latency is over gaps: not used. The CSV holds neither model
nor load and rounds to two decimals (0.01 ms): take the JSON where you have both.
"""

import csv
import io
from typing import Any

from planner.calibration.readers.base import Load, Reader, Run, failures, offered_load, rows
from planner.calibration.readers.documents import JSON_START, Fields, documents, peek
from planner.errors import BadInputError
from planner.loadtest.run import Row

NAME = "aiperf"
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_NEEDED = ("output_token_throughput", "request_count")
_LATENCY = ("time_to_first_token", "inter_token_latency")


def _recognises(content: str) -> bool:
    """Return whether a text is an aggregated export, JSON or CSV."""
    if content.lstrip().startswith(JSON_START):
        data = peek(content)
        return isinstance(data.get("request_throughput"), dict) and isinstance(data.get("request_latency"), dict)
    return content.startswith("Metric,avg") and any(unit in content for unit in ("(ms)", "(tokens", "Request"))


def _read(content: str, where: str, given: Row) -> list[Row]:
    is_json = content.lstrip().startswith(JSON_START)
    return rows(documents(content, where) if is_json else [_from_csv(content, where)], _run, NAME, where, given)


def _run(fields: Fields) -> Run:
    failed = fields.maybe("error_request_count", "avg") or _errors(fields)
    completed = fields.maybe("request_count", "avg")
    notes = [] if completed is None else failures(failed, completed, fields.where)
    fields.require([(name, "avg") for name in _NEEDED])
    fields.require([(name, "avg") for name in _LATENCY], "only a streamed run measures them (--streaming)")
    ttft, tpot = (_seconds(fields, name) for name in _LATENCY)
    notes += ["the run was cancelled"] if fields.get("was_cancelled") is True else []
    return Run(
        ttft,
        tpot,
        fields.number("output_token_throughput", "avg"),
        fields.maybe("input_sequence_length", "avg"),
        fields.maybe("output_sequence_length", "avg"),
        _load(fields, (completed or 0.0) + failed),
        stated={"model": _model_of(fields)},
        notes=notes,
        where=fields.where,
        tool="genai-perf" if fields.get("input_config") and not _is_aiperf(fields) else NAME,
    )


def _is_aiperf(fields: Fields) -> bool:
    own = {"aiperf_version", "schema_version"} & fields.data.keys()
    return bool(own or {"loadgen", "phases"} & fields.inside("input_config").data.keys())


def _seconds(fields: Fields, name: str) -> float:
    unit = fields.text(name, "unit")
    if unit not in _SECONDS:
        expected = ", ".join(_SECONDS)
        raise BadInputError(f"{fields.name(name, 'unit')} is {unit!r}; expected one of {expected}", where=fields.where)
    return fields.number(name, "avg") * _SECONDS[unit]


def _errors(fields: Fields) -> float:
    summary = fields.get("error_summary")
    errors = [e for e in summary if isinstance(e, dict)] if isinstance(summary, list) else []
    return float(sum(Fields(e, fields.where, "error_summary").maybe("count") or 1.0 for e in errors))


def _load(fields: Fields, sent: float) -> Load:
    """Return the load from the settings that the export repeats, in the forms that versions gave them."""
    config = fields.inside("input_config")
    phases = config.get("phases") if isinstance(config.get("phases"), list) else []
    counted = [p for p in phases if isinstance(p, dict) and not p.get("exclude_from_results")]
    places = [
        *(Fields(p, fields.where, "input_config.phases") for p in counted[-1:]),
        config.inside("loadgen"),
        config.inside("perf_analyzer", "stimulus"),
        config,
    ]
    for place in places:
        limit, rate = (_plain(place, *names) for names in (("concurrency",), ("request_rate", "rate")))
        if limit or rate:
            served = fields.maybe("request_throughput", "avg") or 0.0
            latency = _seconds(fields, "request_latency") if fields.get("request_latency") else None
            return offered_load(rate, limit, sent, served, None if latency is None else served * latency)
    return Load()


def _plain(place: Fields, *names: str) -> float | None:
    """Return the first of some settings that is a single number."""
    found = [(n, place.get(n)) for n in names]
    plain = [place.number(n) for n, v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    return next((v for v in plain if v), None)


def _model_of(fields: Fields) -> str:
    config = fields.inside("input_config")
    named: Any = config.get("models", "items")
    if isinstance(named, list):
        named = [m.get("name") for m in named if isinstance(m, dict)]
    for value in (named, config.get("endpoint", "model_names"), config.get("model_names"), config.get("model")):
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str) and first:
            return first
    return ""


def _from_csv(content: str, where: str) -> Fields:
    """Return the averages of an exported CSV in the shape of the JSON: two tables, of statistics and of values."""
    metrics: dict[str, Any] = {}
    header: list[str] = []
    for line, cells in enumerate(csv.reader(io.StringIO(content)), 1):
        if not cells:
            continue
        if cells[0] == "Endpoint":  # telemetry of the GPUs follows
            break
        if cells[0] == "Metric":
            header = cells
            continue
        if len(cells) != len(header):
            place = f"{where}:{line}"
            raise BadInputError(f"has {len(cells)} cells; expected {len(header)}, as in the header", where=place)
        name, _, unit = cells[0].removesuffix(")").rpartition(" (")
        column = header.index("avg") if "avg" in header else 1
        value = _cell(cells[column], f"{where}:{line}")
        metrics[(name or cells[0]).lower().replace(" ", "_")] = {"unit": unit, "avg": value}
    return Fields(metrics, where)


def _cell(cell: str, where: str) -> float | None:
    if cell.strip() in {"", "N/A"}:
        return None
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        raise BadInputError(f"{cell!r} is not a number", where=where) from None


READER = Reader(NAME, _recognises, _read)
