"""The formulas behind a scenario's results: read from the functions that compute, and those that only files hold."""

from functools import cache

from planner.explain.code_reader import CodeReader, Function
from planner.explain.formulas import Formula, formulas
from planner.fleet import bill, replicas, sizing
from planner.serving import attention, collectives, kv_cache, memory, power, replica, step

_INLINED: tuple[Function, ...] = (
    attention.decode_attention_s,
    attention.prefill_attention_s,
    collectives.collectives,
    collectives.start_up_s,
    collectives.all_reduce_s_per_byte,
    collectives.all_gather_s_per_byte,
    collectives.all_to_all_s_per_byte,
    collectives.others_reached,
    kv_cache.cache_bytes,
    kv_cache.state_bytes,
    kv_cache.request_bytes,
    kv_cache.held_bytes,
    kv_cache.spread_bytes,
    kv_cache.in_flight_bytes,
    kv_cache.in_flight_tokens,
    memory.running_limit,
    memory.weight_bytes_per_gpu,
    memory.activation_bytes_per_gpu,
    memory.other_bytes_per_gpu,
    memory.kv_capacity_bytes,
    replica.dense_weight_bytes,
    step.accepted_tokens,
    power.busy_power_w,
    power.facility_power_kw,
    replicas.billed_gpus,
    replicas.replica_availability,
    replicas.replicas_for_peak,
)
_NAMED: tuple[Function, ...] = (
    attention.prefill_chunk,
    kv_cache.kv_split,
    kv_cache.growing_bytes,
    kv_cache.is_pooled,
    sizing.peak_answers_per_s,
)


@cache
def one_pool_formulas() -> dict[str, Formula]:
    """Return the formulas of replicas that do prefill and decode, by name."""
    machines = _pool("", "replicas", "gpus_per_replica", "capacity.answers_per_s", "fleet.availability")
    return formulas() | _replica_and_bill() | machines | _mean_power("gpu_power_w")


@cache
def two_pools_formulas() -> dict[str, Formula]:
    """Return the formulas of a decode and a prefill pool, by name: those of a layout stand twice."""
    names, target = ("spare_replicas", "gpus", "units_billed", "mean_gpus", "billed_gpus"), "sqrt(fleet.availability)"
    prefill = CodeReader(_INLINED, _NAMED, "prefill.", groups={"layout": "prefill_layout"}, common=_replica_and_bill())
    prefill.record("costs.", replica.step_costs)
    prefill.value("full_power_w", power.busy_power_of, terms="prefill")
    return (
        formulas()
        | _replica_and_bill()
        | prefill.found
        | _pool("decode.", "replicas", "gpus_per_replica", "capacity.answers_per_s", target)
        | _pool("prefill.", "prefill_replicas", "prefill_gpus_per_replica", "prefill.answers_per_s", target)
        | {name: Formula(name, f"prefill.{name} + decode.{name}", "both pools") for name in names}
        | _mean_power("decode.gpu_power_w")
        | formulas("explain/formulas_pools.csv")
    )


@cache
def _replica_and_bill() -> dict[str, Formula]:
    """Return what is read from the code whatever pools there are, by name."""
    reader = CodeReader(_INLINED, _NAMED)
    reader.locals(replica.build_replica, tokens="tokens")
    reader.record("costs.", replica.step_costs)
    reader.value("peak_answers_per_s", sizing.peak_answers_per_s)
    reader.record("", bill.money, gpus="billed_gpus")
    reader.record(
        "",
        bill.token_money,
        per_answer="cost_usd_per_answer",
        input_tokens="input_tokens_per_answer",
        output_tokens="generated_tokens_per_answer",
    )
    reader.locals(sizing.energy_of, billed="billed_gpus")
    for load in ("capacity", "peak"):
        reader.value(f"{load}.busy_power_w", power.busy_power_of, terms=load)
    return reader.found | _memory()


_OF_MEMORY = {
    "weights": "weight_bytes",
    "activations": "activation_bytes",
    "others": "other_bytes",
    "capacity": "kv_capacity_bytes",
    "mean": "kv_bytes_per_sequence",
    "sd": "kv_bytes_per_sequence_sd",
    "longest": "kv_bytes_longest_request",
    "fitting": "sequences_that_fit",
    "common": "common_bytes",
}
"""Local name of `memory.build_memory` -> field of what it returns."""


def _memory() -> dict[str, Formula]:
    """Return what the memory of a GPU holds, by name."""
    reader = CodeReader(_INLINED, _NAMED, "memory.", {name: f"memory.{of}" for name, of in _OF_MEMORY.items()})
    reader.record("", memory.build_memory, tokens="tokens", paused_bytes="memory.paused_bytes")
    return reader.found


def _pool(
    prefix: str, own_replicas: str, gpus_per_replica: str, answers_per_s: str, availability: str
) -> dict[str, Formula]:
    """Return the formulas of the machines of a pool, with what its quantities' names start with."""
    reader = CodeReader(_INLINED, _NAMED, prefix, {"replicas": own_replicas}, common=_replica_and_bill())
    reader.locals(
        sizing.pool_fleet,
        gpus_per_replica=gpus_per_replica,
        answers_per_s=answers_per_s,
        availability=availability,
        mean_gpus=f"{prefix}mean_gpus",
    )
    return reader.found


def _mean_power(name: str) -> dict[str, Formula]:
    """Return the formulas of the mean power of a GPU of replicas that decode."""
    reader = CodeReader(_INLINED, _NAMED)
    of_peak = {"peak_running": "peak.running", "peak_factor": "demand.peak_to_mean * demand.burst"}
    reader.value(name, power.mean_power_w, busy_w="peak.busy_power_w", idle_w="gpu.idle_w", **of_peak)
    return reader.found
