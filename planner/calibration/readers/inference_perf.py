"""inference-perf (Kubernetes SIGs): stage_N_lifecycle_metrics.json and summary_lifecycle_metrics.json.

A request's time_per_output_token is (last token - first token)/(output tokens - 1), and mean is over
requests: our TPOT, in seconds already. inter_token_latency is over gaps, and
normalized_time_per_output_token divides the whole latency by all tokens: neither is used. Versions of
2025 counted a start token with every chunk and halve TPOT: where it does not fit
(latency - TTFT)/(output length - 1) of the means, that quotient is taken instead and noted.
"""

from collections.abc import Mapping

from planner.calibration.readers.base import Load, Run, failures, json_reader, offered_load
from planner.calibration.readers.documents import Fields

NAME = "inference-perf"
_FITS = 1.25
"""How far a mean TPOT may be from the quotient of the means: a mean of quotients differs, but not by this."""


def _recognises(data: Mapping[str, object]) -> bool:
    successes = data.get("successes")
    return "load_summary" in data and isinstance(successes, dict) and "latency" in successes


def _run(fields: Fields) -> Run:
    good = fields.inside("successes")
    completed, failed = good.number("count"), fields.maybe("failures", "count") or 0.0
    notes = failures(failed, completed, fields.where)
    good.require([("throughput", "output_tokens_per_sec"), ("latency", "request_latency", "mean")])
    client = good.maybe("output_len", "mean")
    output_tokens = good.maybe("output_tokens", "mean") or client
    input_tokens = good.maybe("prompt_tokens", "mean") or good.maybe("prompt_len", "mean")
    latency = good.inside("latency")
    ttft, tpot = (latency.maybe(name, "mean") for name in ("time_to_first_token", "time_per_output_token"))
    notes += ["no TTFT and TPOT: the run did not stream"] if ttft is None else []
    if ttft is not None and tpot and client and client > 1:
        quotient = (latency.number("request_latency", "mean") - ttft) / (client - 1.0)
        if not tpot / _FITS <= quotient <= tpot * _FITS and quotient > 0:
            notes.append(
                f"TPOT {quotient:.4g} s from latency, TTFT and output length: "
                f"the file's {tpot:.4g} s counts other tokens than output_len"
            )
            tpot = quotient
    cached, total = good.maybe("prompt_tokens", "cached"), good.maybe("prompt_tokens", "total")
    return Run(
        ttft,
        tpot,
        good.number("throughput", "output_tokens_per_sec"),
        input_tokens,
        output_tokens,
        _load(fields),
        stated={"cached_share": min(cached / total, 1.0)} if cached and total else {},
        notes=notes,
        where=fields.where,
    )


def _load(fields: Fields) -> Load:
    if concurrency := fields.maybe("load_summary", "concurrency"):
        return Load(concurrency)
    served = fields.maybe("successes", "throughput", "requests_per_sec")
    if rate := fields.maybe("load_summary", "requested_rate"):
        return offered_load(rate, None, 0.0, rate if served is None else served, None)
    return Load(None, served, ("request rate as served: no stage states one (a summary of all stages?)",))


READER = json_reader(NAME, _recognises, _run)
