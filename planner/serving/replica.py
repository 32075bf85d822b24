"""From columns to one replica's machine: its memory, its step costs, its token demand."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner.serving import memory as mem
from planner.serving import step
from planner.serving.cases import Cases
from planner.serving.collectives import collectives
from planner.serving.lengths import TokenDemand, deviation_of_minimum, mean_of_minimum, token_demand
from planner.serving.normal import Array
from planner.serving.roots import solve_increasing


@dataclass(frozen=True, eq=False)
class Replica:
    """One replica: what the steady state, the predictor and the simulator share."""

    tokens: TokenDemand
    memory: mem.Memory
    costs: step.StepCosts
    gpus_per_replica: Array
    ranks: Array
    """Batches in flight: attention-data-parallel ranks x pipeline stages."""
    stages: Array
    token_budget: Array
    """Prefill tokens one step can carry."""
    decode_steps_per_answer: Array
    """Steps the sequences of one answer take together: sequences (E[G] - 1); prefill yields the first token."""
    prefill_tokens_per_decode: Array
    """Prefill tokens a step carries for each running sequence, so that both keep pace."""
    prefill_chunk: Array
    """Prefill tokens a step carries when it carries any: a mean prompt, at most the budget."""
    request_overhead_s: Array
    prompt_overhead_s: Array
    """Host time of one prompt."""
    scheduling_steps: Array
    """Steps between arrival and first token beside the prompt's own."""
    prefill_first: Array
    """1 where prompts are read before any decode goes on."""
    tokens_per_step: Array
    """Tokens a step yields a sequence: 1, more with speculative decoding."""
    draft_share: Array
    """Time of drafting over that of a step of decodes."""
    pause_s: Array
    """Time of an answer during which tools work."""


def build_replica(cases: Cases) -> Replica:
    """Return the replica of each case."""
    tokens = token_demand(cases.workload)
    layout = cases.layout
    yielded = step.accepted_tokens(layout.draft_tokens, layout.acceptance)
    steps = tokens.sequences_per_answer * np.maximum(tokens.generated_tokens_mean - 1.0, _SHORTEST_DECODE) / yielded
    replica = Replica(
        tokens=tokens,
        memory=_memory(cases, tokens),
        costs=_costs(cases, tokens),
        gpus_per_replica=np.asarray(layout.tensor_parallel * layout.pipeline_parallel * layout.data_parallel),
        ranks=np.asarray(layout.data_parallel * layout.pipeline_parallel),
        stages=layout.pipeline_parallel,
        token_budget=cases.engine.max_batched_tokens,
        decode_steps_per_answer=np.asarray(steps),
        prefill_tokens_per_decode=np.asarray(tokens.prefill_tokens_per_answer / steps),
        prefill_chunk=prefill_chunk(cases, tokens),
        request_overhead_s=cases.engine.request_overhead_s,
        prompt_overhead_s=cases.engine.prompt_overhead_s,
        scheduling_steps=cases.engine.scheduling_steps,
        prefill_first=cases.engine.prefill_first,
        tokens_per_step=yielded,
        draft_share=np.asarray(layout.draft_tokens / cases.model.layers),
        pause_s=np.zeros(()) if cases.pauses is None else cases.pauses.pause_s,
    )
    return replica if cases.pauses is None else dataclasses.replace(replica, memory=_beside_pauses(cases, replica))


def _beside_pauses(cases: Cases, replica: Replica) -> mem.Memory:
    """Return the memory of a replica whose cache also holds conversations that wait for a tool.

    At a rate lambda, lambda T conversations wait (Little's law), so the batch B that fits leaves room for them:
    B mu + z sqrt(B) sigma = K - lambda(B) T held / DP. More batch is more rate and less room: one solution.
    """
    m, pauses, memory, dp = cases.model, cases.pauses, replica.memory, cases.layout.data_parallel
    if pauses is None:
        return memory
    state = m.state_bytes / np.minimum(cases.layout.tensor_parallel, m.state_heads)
    tokens = pauses.held_tokens
    held = _cache_bytes(cases, tokens, np.minimum(tokens, m.window_tokens), tokens) + state
    waiting = pauses.held_pause_s * held / cases.layout.pipeline_parallel / dp
    z = cases.engine.kv_overflow_z

    def paused(running: Array, of: Replica) -> Array:
        sequences = running / of.ranks
        t, alone = step.mean_step_s(of.costs, sequences, sequences * of.prefill_tokens_per_decode, of.prefill_chunk)
        return np.asarray(running / (of.decode_steps_per_answer * (t + of.draft_share * alone)))

    def excess(log_running: Array, given: tuple[Replica, Array, Array, Array]) -> Array:
        of, bytes_s, ranks, spread = given
        room = of.memory.kv_capacity_bytes - paused(np.exp(log_running), of) * bytes_s
        mean, sd = of.memory.kv_bytes_per_sequence, of.memory.kv_bytes_per_sequence_sd
        fits = mem.running_limit(room, mean, sd, spread) * ranks
        return np.asarray(log_running - np.log(np.maximum(fits, _NOTHING)))

    top = np.log(np.maximum(memory.sequences_that_fit, _NOTHING))
    given = (replica, waiting, dp, z)
    running = np.exp(solve_increasing(excess, top - _WIDEST, top, given))
    limit = cases.engine.max_running_sequences * replica.ranks
    most = np.minimum(running, limit)
    return dataclasses.replace(
        memory,
        sequences_that_fit=running,
        max_running_sequences=most,
        paused_bytes=np.asarray(paused(running, replica) * waiting),
    )


_NOTHING, _WIDEST = 1e-12, 30.0
"""Sequences that are none, and how far below those that fit without pauses the solver looks, in logarithms."""


_SHORTEST_DECODE = 1e-6
"""An answer of one token has no decode step; this keeps its running batch above zero."""


def _cache_bytes(cases: Cases, full: Array, window: Array, sparse: Array) -> Array:
    """Return KV cache bytes on one GPU of the tokens that full, windowed and sparse layers hold or read."""
    m, layout = cases.model, cases.layout
    split = mem.kv_split(layout.tensor_parallel, m.kv_heads)
    gqa = (m.kv_full_elements * full + m.kv_window_elements * window + m.kv_sparse_elements * sparse) / split
    latent = m.latent_full_elements * full + m.latent_sparse_elements * sparse + m.index_elements * full
    return np.asarray((gqa + latent) * layout.kv_bytes)


def _read_bytes(cases: Cases, context: Array, second_moment: Array) -> Array:
    """Return KV cache bytes a step reads of a context: windows and the top k of sparse layers cap it."""
    m = cases.model
    window = mean_of_minimum(context, second_moment, m.window_tokens)
    return _cache_bytes(cases, context, window, mean_of_minimum(context, second_moment, m.sparse_top_k))


def prompt_transfer_s(reading: Cases, writing: Cases, readers: Array, writers: Array) -> Array:
    """Return the time the cache of a mean prompt takes from a prefill worker to a decode worker [s].

    All GPUs of the smaller worker send or receive their part at once: over the links where both pools stand in one
    scale-up domain, else over the network.
    """
    w, g, e = reading.workload, reading.gpu, reading.engine
    prompt = np.sum(w.share * w.input_tokens_mean, axis=-1)
    sizes = [c.layout.tensor_parallel * c.layout.pipeline_parallel * c.layout.data_parallel for c in (reading, writing)]
    together = sizes[0] * readers + sizes[1] * writers <= g.scale_up_domain_gpus
    rate = np.where(together, g.link_bytes_per_s * e.link_efficiency, g.network_bytes_per_s * e.network_efficiency)
    one = dataclasses.replace(reading, layout=dataclasses.replace(reading.layout, tensor_parallel=np.ones_like(prompt)))
    held = _cache_bytes(one, prompt, np.minimum(prompt, reading.model.window_tokens), prompt)
    senders = np.minimum(reading.layout.tensor_parallel, writing.layout.tensor_parallel)
    return np.asarray((held + reading.model.state_bytes) / (senders * rate))


def _memory(cases: Cases, tokens: TokenDemand) -> mem.Memory:
    m, e, layout = cases.model, cases.engine, cases.layout
    embedding = (m.embedding_parameters + m.head_parameters * (1.0 - m.head_is_tied)) * m.embedding_weight_bytes
    weights = mem.weight_bytes_per_gpu(
        m.attention_parameters * m.attention_weight_bytes,
        m.ffn_parameters * m.ffn_weight_bytes,
        m.expert_parameters * m.expert_weight_bytes,
        embedding,
        layout.tensor_parallel,
        layout.pipeline_parallel,
        layout.data_parallel,
    )
    activations = e.activation_bytes_factor * e.max_batched_tokens * m.hidden_size * mem.BYTES_PER_ACTIVATION
    reserve = e.runtime_reserve_bytes + activations
    capacity = cases.gpu.memory_bytes * e.memory_utilization - weights - reserve
    stage = 1.0 / layout.pipeline_parallel
    state = m.state_bytes / np.minimum(layout.tensor_parallel, m.state_heads)
    held, second, longest = tokens.held_mean, tokens.held_second_moment, tokens.longest_request_tokens
    window = mean_of_minimum(held, second, m.window_tokens)
    mean = (_cache_bytes(cases, held, window, held) + state) * stage
    spread = np.sqrt(np.maximum(second - np.square(held), 0.0))
    sd = _cache_bytes(cases, spread, deviation_of_minimum(held, second, m.window_tokens), spread) * stage
    alone = (_cache_bytes(cases, longest, np.minimum(longest, m.window_tokens), longest) + state) * stage
    fitting = mem.running_limit(capacity, mean, sd, e.kv_overflow_z) * layout.data_parallel
    limit = e.max_running_sequences * layout.data_parallel * layout.pipeline_parallel
    return mem.Memory(
        weight_bytes=np.asarray(weights),
        reserve_bytes=np.asarray(reserve),
        kv_capacity_bytes=np.asarray(capacity),
        kv_bytes_per_sequence=np.asarray(mean),
        kv_bytes_per_sequence_sd=np.asarray(sd),
        kv_bytes_longest_request=np.asarray(alone),
        sequences_that_fit=np.asarray(fitting),
        max_running_sequences=np.asarray(np.minimum(fitting, limit)),
        paused_bytes=np.zeros(()),
    )


def _costs(cases: Cases, tokens: TokenDemand) -> step.StepCosts:
    m, g, e, layout = cases.model, cases.gpu, cases.engine, cases.layout
    tp, dp = layout.tensor_parallel, layout.data_parallel
    bandwidth = g.hbm_bytes_per_s * e.memory_efficiency
    flop = step.FLOP_PER_MAC / e.compute_efficiency
    dense_bytes = (
        m.attention_parameters * m.attention_weight_bytes
        + m.ffn_parameters * m.ffn_weight_bytes
        + m.head_parameters * m.embedding_weight_bytes
    )
    verified = 1.0 + layout.draft_tokens
    dense_flop = m.attention_parameters / g.attention_flop_per_s + m.ffn_parameters / g.ffn_flop_per_s
    routed = m.experts_per_token / m.experts
    imbalance = np.where(layout.expert_parallel > 1.0, e.expert_imbalance, 1.0)
    exchange = collectives(
        m.layers,
        m.moe_layers,
        m.hidden_size,
        m.experts_per_token,
        tp,
        layout.pipeline_parallel,
        dp,
        layout.expert_parallel,
        g.scale_up_domain_gpus,
        g.link_bytes_per_s * e.link_efficiency,
        g.network_bytes_per_s * e.network_efficiency,
        e.collective_latency_s,
        e.network_latency_s,
    )
    decode_memory, one_product = _decode_attention(cases, tokens)
    decode_products = one_product * verified
    prefill_memory, prefill_products = _prefill_attention(cases, tokens)
    expert_bytes = m.expert_parameters * m.expert_weight_bytes / (tp * dp)
    slice_width = m.expert_width * layout.expert_parallel / (tp * dp)
    expert_flop = flop * m.expert_parameters * routed / tp * (1.0 + e.expert_half_width / slice_width)
    return step.StepCosts(
        dense_memory_s=np.asarray(dense_bytes / tp / bandwidth),
        dense_compute_s_per_token=np.asarray(flop * dense_flop / tp),
        tokens_per_sequence=np.asarray(verified),
        head_compute_s_per_sequence=np.asarray(flop * m.head_parameters / g.attention_flop_per_s / tp * verified),
        expert_memory_s=np.asarray(expert_bytes / (g.hbm_bytes_per_s * e.expert_memory_efficiency)),
        expert_compute_s_per_token=np.asarray(expert_flop / g.expert_flop_per_s * imbalance),
        expert_miss_log_per_token=np.asarray(dp * np.log1p(-np.minimum(routed, _ALMOST_ONE))),
        decode_attention_s_per_sequence=step.overlapped(decode_memory, decode_products, e.overlap_exponent),
        decode_memory_s_per_sequence=decode_memory,
        decode_products_s_per_sequence=decode_products,
        prefill_attention_s_per_token=step.overlapped(prefill_memory, prefill_products, e.overlap_exponent),
        prefill_memory_s_per_token=prefill_memory,
        prefill_products_s_per_token=prefill_products,
        collective_s=exchange.start_s,
        collective_s_per_token=exchange.s_per_token,
        overhead_s=np.asarray(e.layer_equivalents * e.layer_overhead_s + e.step_overhead_s),
        overhead_s_per_sequence=e.sequence_overhead_s,
        overlap_exponent=e.overlap_exponent,
    )


_ALMOST_ONE = 1.0 - 1e-12
"""A model whose every expert works on every token (or a dense one) touches them all."""


def _decode_attention(cases: Cases, tokens: TokenDemand) -> tuple[Array, Array]:
    """Return (memory, compute) seconds of one decoding sequence in one step: both sides grow with its context."""
    m, tp = cases.model, cases.layout.tensor_parallel
    x1, x2 = tokens.context_mean, tokens.context_second_moment
    state = STATE_PASSES * m.state_bytes / np.minimum(tp, m.state_heads)
    bytes_read = _read_bytes(cases, x1, x2) + state
    macs = (
        m.decode_macs_full * x1
        + m.decode_macs_index * x1
        + m.decode_macs_window * mean_of_minimum(x1, x2, m.window_tokens)
        + m.decode_macs_sparse * mean_of_minimum(x1, x2, m.sparse_top_k)
    ) / tp
    return _attention_seconds(cases, bytes_read, macs)


def _attention_seconds(cases: Cases, bytes_read: Array, macs: Array) -> tuple[Array, Array]:
    """Return (memory, compute) seconds of attention that reads bytes and multiplies."""
    g, e = cases.gpu, cases.engine
    memory = bytes_read / (g.hbm_bytes_per_s * e.cache_memory_efficiency)
    return np.asarray(memory), np.asarray(step.FLOP_PER_MAC * macs / (g.kv_flop_per_s * e.attention_compute_efficiency))


STATE_PASSES = 2.0
"""A recurrent state is read and written in every step."""


def _prefill_attention(cases: Cases, tokens: TokenDemand) -> tuple[Array, Array]:
    """Return (memory, compute) seconds of one prefill token; each chunk of a prompt reads what is before it once."""
    m, tp = cases.model, cases.layout.tensor_parallel
    x1, x2 = tokens.prefill_context_mean, tokens.prefill_context_second_moment
    macs = (
        m.prefill_macs_full * x1
        + m.decode_macs_index * x1
        + m.prefill_macs_window * mean_of_minimum(x1, x2, m.window_tokens)
        + m.prefill_macs_sparse * mean_of_minimum(x1, x2, m.sparse_top_k)
    ) / tp
    return _attention_seconds(cases, _read_bytes(cases, x1, x2) / prefill_chunk(cases, tokens), macs)


def prefill_chunk(cases: Cases, tokens: TokenDemand) -> Array:
    """Return the tokens of a piece in which a prompt is read: the mean uncached prompt, at most the step's budget."""
    return np.maximum(np.minimum(tokens.prefill_tokens_mean, cases.engine.max_batched_tokens), 1.0)
