"""A second implementation of docs/method.md in plain Python: scalars, loops, bisection; no numpy.

Written from the page alone by somebody who had not seen the planner's code.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from types import SimpleNamespace as Bag

NORMAL = NormalDist()
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
FIELDS = """fits meets_slo gpus_per_replica replicas spare_replicas nodes nodes_mean gpus answers_per_month
    input_tokens_per_answer answer_tokens_per_answer reasoning_multiplier generated_tokens_per_answer
    truncated_share concurrency_per_replica max_concurrency_per_replica utilization ttft_p50_s ttft_p95_s
    ttft_p99_s tpot_p50_s tpot_p95_s tpot_p99_s time_to_answer_p50_s time_to_answer_p95_s time_to_answer_p99_s
    e2e_p50_s e2e_p95_s e2e_p99_s output_tokens_per_s_per_gpu gpu_seconds_per_answer
    gpu_hours_per_month_reserved gpu_hours_per_month_used usd_per_gpu_hour cost_usd_per_month
    cost_usd_per_answer cost_usd_per_answer_used cost_usd_per_mtok_input cost_usd_per_mtok_output accuracy
    cost_usd_per_correct_answer gpu_time_multiplier cost_multiplier energy_multiplier power_kw
    energy_kwh_per_month energy_wh_per_answer co2e_kg_per_month prefill_gpus_per_replica prefill_replicas
    longest_context_tokens"""


def below(z: float) -> float:
    """Return the normal distribution function, exact in both tails."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def censored_moment(mean: float, cv: float, cut: float, j: int) -> float:
    """Return E[min(X, cut)^j]."""
    if cv == 0.0:
        return min(mean, cut) ** j
    s = math.sqrt(math.log(1.0 + cv**2))
    z = (math.log(cut) - math.log(mean) + s**2 / 2.0) / s
    moment = math.exp(j * (math.log(mean) - s**2 / 2.0) + (j * s) ** 2 / 2.0)
    return moment * below(z - j * s) + cut**j * below(-z)


def mean_of_minimum(first: float, second: float, cut: float) -> float:
    """Return E[min(X, cut)], X lognormal with these two moments."""
    return censored_moment(first, math.sqrt(max(second / first**2 - 1.0, 0.0)), cut, 1)


def share_below(x: float, mean: float, cv: float, cut: float = math.inf) -> float:
    """Return P(min(X, cut) <= x)."""
    s2 = math.log(1.0 + cv**2)
    s = math.sqrt(s2)
    if x >= cut or mean == 0.0 or s == 0.0:
        return float(x >= min(mean, cut))
    return below((math.log(x) - math.log(mean) + s2 / 2.0) / s)


def bisect_log(is_low: Callable[[float], bool], low: float, high: float) -> float:
    """Return where is_low turns false between low and high, to 1e-14 in the logarithm or the last bit."""
    a, b = math.log(low), math.log(high)
    middle = (a + b) / 2.0
    while b - a > 1e-14 and a < middle < b:
        a, b = (middle, b) if is_low(math.exp(middle)) else (a, middle)
        middle = (a + b) / 2.0
    return math.exp(middle)


def quantiles(parts: list[tuple[float, ...]], *shares: float) -> list[float]:
    """Return quantiles of a mixture of (weight, mean, cv, cut, n): each part is the maximum of n draws."""
    total = sum(part[0] for part in parts)

    def reached(x: float) -> float:
        return sum(w * share_below(x, mean, cv, cut) ** n for w, mean, cv, cut, n in parts) / total

    return [0.0 if reached(1e-9) >= q else bisect_log(lambda x, q=q: reached(x) < q, 1e-9, 1e15) for q in shares]


def read(case: dict) -> Bag:
    """Return a case's columns in one bag, with the tokens of an answer, contexts and length quantiles."""
    v = Bag(pause_s=0.0, held_pause_s=0.0, held_tokens=0.0, relative_rate=[1.0])
    vars(v).update({k: x for name, group in case.items() if name != "workload" for k, x in group.items()})
    v.slo, v.tp, v.pp, v.dp = case["slo"], v.tensor_parallel, v.pipeline_parallel, v.data_parallel
    v.ranks, v.size, v.kv_ranks = v.dp * v.pp, v.tp * v.pp * v.dp, min(v.tp, v.kv_heads)
    parts = [Bag(**component) for component in case["workload"]]
    for c in parts:
        c.n, c.m, c.cv, c.cut = c.samples_per_answer, c.reasoning_multiplier, c.generated_tokens_cv, c.max_tokens
        c.wu, c.mean, c.i1 = c.share * c.turns_per_answer, c.answer_tokens_mean * c.m, c.input_tokens_mean
        c.i2, c.i3 = (c.i1**j * (1.0 + c.input_tokens_cv**2) ** (j * (j - 1) / 2) for j in (2, 3))
        c.g1, c.g2, c.g3 = (censored_moment(c.mean, c.cv, c.cut, j) for j in (1, 2, 3))
        c.wun, c.new = c.wu * c.n, 1.0 - c.cached_share

    def total(term: Callable[[Bag], float]) -> float:
        return sum(term(c) for c in parts)

    v.mean_prompt = total(lambda c: c.share * c.i1)
    v.requests, v.sequences = total(lambda c: c.wu), total(lambda c: c.wun)
    v.inputs, v.prefill = total(lambda c: c.wu * c.i1), total(lambda c: c.wu * c.i1 * c.new)
    v.generated, v.visible = total(lambda c: c.wun * c.g1), total(lambda c: c.share * c.g1 / c.m)
    v.multiplier = total(lambda c: c.wun * c.mean) / total(lambda c: c.wun * c.mean / c.m)
    v.truncated = 1.0 - total(lambda c: c.wun * share_below(c.cut, c.mean, c.cv)) / v.sequences
    v.output = v.generated / v.sequences
    v.kept = sum(v.acceptance**i for i in range(int(v.draft_tokens) + 1))
    v.steps = v.sequences * max(v.output - 1.0, 1e-6) / v.kept
    v.cv2 = total(lambda c: c.wun * c.g2) / v.sequences / v.output**2 - 1.0
    v.n1, v.n2 = v.prefill / v.requests, total(lambda c: c.wu * c.i2 * c.new**2) / v.requests
    v.x1 = total(lambda c: c.wun * (c.i1 * c.g1 + c.g2 / 2)) / v.generated
    v.x2 = total(lambda c: c.wun * (c.i2 * c.g1 + c.i1 * c.g2 + c.g3 / 3)) / v.generated
    v.shared = parts[0].shared_tokens
    own1, own2 = (lambda c: (c.i1 - v.shared) / c.n), (lambda c: (c.i2 - 2 * v.shared * c.i1 + v.shared**2) / c.n**2)
    v.held1 = total(lambda c: c.wun * (own1(c) * c.g1 + c.g2 / 2)) / v.generated
    v.held2 = total(lambda c: c.wun * (own2(c) * c.g1 + own1(c) * c.g2 + c.g3 / 3)) / v.generated
    v.y1 = total(lambda c: c.wu * c.i2 * (1.0 - c.cached_share**2) / 2) / v.prefill
    v.y2 = total(lambda c: c.wu * c.i3 * (1.0 - c.cached_share**3) / 3) / v.prefill
    long_input = quantiles([(c.wu, c.i1, c.input_tokens_cv, math.inf, 1) for c in parts], 0.99)
    long_output = quantiles([(c.wun, c.mean, c.cv, c.cut, 1) for c in parts], 0.99)
    v.long_request = long_input[0] + long_output[0]
    prompts = [(c.wu, c.i1 * c.new, c.input_tokens_cv, math.inf, 1) for c in parts]
    whole = [(c.wu, c.mean, c.cv, c.cut, c.n) for c in parts]
    thinking = []
    for c in parts:
        thoughts = c.mean - c.answer_tokens_mean
        one, cv = thoughts + 1.0, c.thinking_tokens_cv * thoughts / (thoughts + 1.0)
        mean, cv = (c.mean, c.cv) if c.n > 1.0 else (one, cv)
        thinking.append((c.wu, mean, cv, c.cut * mean / c.mean, c.n))
    names = QUANTILES.values()
    v.uncached, v.longest, v.thinking = (
        dict(zip(QUANTILES, quantiles(mixture, *names), strict=True)) for mixture in (prompts, whole, thinking)
    )
    v.attention_bytes = v.attention_parameters * v.attention_weight_bytes
    v.dense_bytes = v.ffn_parameters * v.ffn_weight_bytes
    v.experts_bytes = v.expert_parameters * v.expert_weight_bytes
    v.head_bytes = v.head_parameters * v.embedding_weight_bytes
    return v


def cache_bytes(v: Bag, full: float, window: float, sparse: float) -> float:
    """Return cache bytes on one GPU, over all pipeline stages, of these (capped) lengths."""
    split = v.kv_full_elements * full + v.kv_window_elements * window + v.kv_sparse_elements * sparse
    whole = v.latent_full_elements * full + v.latent_sparse_elements * sparse + v.index_elements * full
    scales = v.scaled_full_bytes * full + v.scaled_window_bytes * window + v.scaled_sparse_bytes * sparse
    return v.kv_bytes * (split / v.kv_ranks + whole) + v.index_bytes * full + (scales if v.kv_bytes <= 1.0 else 0.0)


def one_request(v: Bag, full: float, window: float) -> float:
    """Return what a request holds of a GPU's cache: of its own, or in blocks of a pool that all layers share."""
    if v.pool_tokens_per_request and v.steps_in_flight:
        return cache_bytes(v, full + v.pool_tokens_per_request, 0.0, full + v.pool_tokens_per_request) / v.pp
    return (cache_bytes(v, full, window, full) + v.state_bytes / min(v.tp, v.state_heads)) / v.pp


def memory(v: Bag) -> tuple[bool, float]:
    """Return whether the option fits, and the running limit of a replica."""
    embedding = v.embedding_parameters * v.embedding_weight_bytes
    embedding += 0.0 if v.head_is_tied or v.pp > 1.0 else v.head_bytes
    on_each_rank = v.replicated_parameters + v.kv_parameters / v.kv_ranks
    sharded = v.attention_parameters - v.replicated_parameters - v.kv_parameters
    weights = (sharded / v.tp + on_each_rank) * v.attention_weight_bytes
    weights += (v.dense_bytes + 2.0 * v.encoder_parameters) / v.tp
    weights += v.experts_bytes * v.expert_padding / (v.tp * v.dp)
    weights = weights / v.pp + embedding / v.tp
    tokens = v.max_batched_tokens
    step = tokens * 2.0 * (v.activation_bytes_factor * v.hidden_size + v.block_width / v.tp)
    sampling = min(v.max_running_sequences, tokens) * v.vocab_size * v.sampler_bytes_per_logit
    others = v.runtime_reserve_bytes
    others += v.collective_bytes if v.tp > 1.0 else 0.0
    others += v.encoder_reserve_bytes if v.encoder_parameters > 0.0 else 0.0
    room = v.memory_bytes * v.memory_utilization
    room -= v.left_free_bytes + tokens * v.left_free_bytes_per_batched_token + v.size * v.left_free_bytes_per_gpu
    room = min(room, v.memory_available_bytes) - v.weight_memory_share * weights
    room -= v.activation_memory_share * max(step, sampling) + v.other_memory_share * others
    x, started = v.long_request, v.pool_tokens_in_flight * v.steps_in_flight * tokens
    pooled = v.pool_tokens_per_request > 0.0 and v.steps_in_flight > 0.0
    moving = cache_bytes(v, started, 0.0, started) / v.pp
    window = mean_of_minimum(v.held1, v.held2, v.window_tokens)
    mean = one_request(v, v.held1, window)
    spread = math.sqrt(max(v.held2 - v.held1**2, 0.0))
    square = censored_moment(v.held1, spread / v.held1, v.window_tokens, 2)
    capped = math.sqrt(max(square - window**2, 0.0))
    z = v.kv_overflow_z * cache_bytes(v, spread, 0.0 if pooled else capped, spread) / v.pp
    low, high = 0, int(v.max_context_tokens) + 1  # the longest request alone lies between, in whole tokens
    while high - low > 1:
        tokens = (low + high) // 2
        alone = one_request(v, tokens, min(tokens, v.window_tokens)) + moving
        low, high = (tokens, high) if alone <= room else (low, tokens)
    v.longest_alone = float(low)
    fits = room >= one_request(v, x, min(x, v.window_tokens)) + moving
    prefix = one_request(v, v.shared, min(v.shared, v.window_tokens)) if v.shared else 0.0
    fits = fits and v.inputs / v.requests + v.output <= v.max_context_tokens

    def batch_in(free: float) -> float:
        return ((math.sqrt(z**2 + 4.0 * mean * max(free - prefix - moving, 0.0)) - z) / (2.0 * mean)) ** 2 * v.dp

    found = batch_in(room)
    if v.held_pause_s > 0.0 and found > 0.0:
        y = v.held_tokens
        waits = v.held_pause_s / v.dp * one_request(v, y, min(y, v.window_tokens))
        found = bisect_log(lambda b: b < batch_in(room - rate(v, b) * waits), found * 1e-12, found)
    return fits, min(found, v.max_running_sequences * v.dp * v.pp)


def collectives(v: Bag, tokens: float) -> float:
    """Return seconds of communication of a step of this many tokens."""
    link, network = v.link_bytes_per_s * v.link_efficiency, v.network_bytes_per_s * v.network_efficiency
    payload, domain, seconds = tokens * v.hidden_size * 2.0, v.scale_up_domain_gpus, 0.0

    def start(group: float) -> float:
        return v.network_latency_s if group > domain else v.collective_latency_s

    if v.tp > 1.0:
        d = min(v.tp, domain)
        n = v.tp / d
        per_byte = 2.0 * (d - 1.0) / d / link + 2.0 * (n - 1.0) / n / (d * network)
        seconds += 2.0 * v.layers * (payload * per_byte + start(v.tp))
    if v.dp > 1.0:
        g = v.tp * v.dp
        d = min(g, domain)
        if v.expert_parallel > 1.0:
            n, k = max(g / domain, 1.0), v.experts_per_token
            ranks, nodes = ((places - 1.0) * (1.0 - (1.0 - 1.0 / places) ** k) for places in (g, n))
            per_byte = (ranks / link + nodes / network) / v.tp
        else:
            per_byte = (v.dp - 1.0) * ((d - 1.0) / link + (g - d) / network) / max(g - 1.0, 1.0)
        seconds += 2.0 * v.moe_layers * (payload * per_byte + start(g))
    hand_over = payload / v.tp / (network if v.size > domain else link) + start(v.size)
    return seconds + (v.pp - 1.0) * hand_over


def operations(v: Bag, b: float, prefill: float) -> list[tuple[float, float]]:
    """Return (memory, compute) seconds of dense, experts, decode attention and prefill attention."""
    hbm, flop, verified = v.hbm_bytes_per_s * v.memory_efficiency, v.compute_efficiency * v.tp, 1.0 + v.draft_tokens
    tokens = b * verified + prefill
    products = tokens * (v.attention_parameters / v.attention_flop_per_s + v.ffn_parameters / v.ffn_flop_per_s)
    products += b * verified * v.head_parameters / v.attention_flop_per_s
    active, imbalance = v.experts_per_token / v.experts, v.expert_imbalance if v.expert_parallel > 1.0 else 1.0
    touched = 1.0 - (1.0 - active) ** (tokens * v.dp)
    found = [
        ((v.attention_bytes + v.dense_bytes + v.head_bytes) / v.tp / hbm, 2.0 * products / flop),
        (
            v.experts_bytes / (v.tp * v.dp) / (v.hbm_bytes_per_s * v.expert_memory_efficiency) * touched,
            tokens
            * 2.0
            * v.expert_parameters
            * active
            / (v.expert_flop_per_s * v.compute_efficiency * v.tp)
            * (1.0 + v.expert_half_width * v.tp * v.dp / (v.expert_width * v.expert_parallel))
            * imbalance,
        ),
    ]
    chunk = max(min(v.n1, v.max_batched_tokens), 1.0)
    for first, second, macs, state, times, reads in (
        (v.x1, v.x2, (v.decode_macs_full, v.decode_macs_window, v.decode_macs_sparse), v.state_bytes, b * verified, b),
        (v.y1, v.y2, (v.prefill_macs_full, v.prefill_macs_window, v.prefill_macs_sparse), 0, prefill, prefill / chunk),
    ):
        window, sparse = (mean_of_minimum(first, second, cut) for cut in (v.window_tokens, v.sparse_top_k))
        read_bytes = cache_bytes(v, first, window, sparse) + 2.0 * state / min(v.tp, v.state_heads)
        products = (macs[0] + v.decode_macs_index) * first + macs[1] * window + macs[2] * sparse
        memory = reads * read_bytes / (v.hbm_bytes_per_s * v.cache_memory_efficiency)
        found.append((memory, times * 2.0 * products / (v.kv_flop_per_s * v.attention_compute_efficiency * v.tp)))
    return found


def overlap(v: Bag, sides: tuple[float, float]) -> float:
    """Return the seconds of an operation with these memory and compute seconds."""
    p, high = v.overlap_exponent, max(sides)
    return high * sum((side / high) ** p for side in sides) ** (1.0 / p) if high > 0.0 else 0.0


def step(v: Bag, b: float, prefill: float) -> float:
    """Return t(b, P)."""
    overhead = v.layer_equivalents * v.layer_overhead_s + v.step_overhead_s + b * v.sequence_overhead_s
    exchanged = collectives(v, b * (1.0 + v.draft_tokens) + prefill)
    return overhead + exchanged + sum(overlap(v, sides) for sides in operations(v, b, prefill))


def pieces(v: Bag, batch: float) -> tuple[float, float]:
    """Return (tokens of a piece of a prompt, share of the steps that carry one)."""
    prompts = batch / v.ranks * v.prefill / v.steps
    piece = max(min(v.n1, v.max_batched_tokens), 1.0, prompts)
    return piece, prompts / piece


def engine_step(v: Bag, batch: float) -> float:
    """Return the mean step time of a replica that runs this many sequences, without the drafting."""
    piece, share = pieces(v, batch)
    return (1.0 - share) * step(v, batch / v.ranks, 0.0) + share * step(v, batch / v.ranks, piece)


def drafting(v: Bag, batch: float) -> float:
    """Return the time that drafting adds to a step."""
    return v.draft_tokens / v.layers * step(v, batch / v.ranks, 0.0)


def steady(v: Bag, batch: float) -> float:
    """Return the mean time between two steps of a replica that runs this many sequences."""
    return engine_step(v, batch) + drafting(v, batch)


def rate(v: Bag, batch: float) -> float:
    """Return answers per second of a replica that runs this many sequences."""
    return batch / (v.steps * steady(v, batch))


def wait_quantile(waits: float, mean: float, q: float) -> float:
    """Return the quantile of a wait with P(W > x) = C exp(-C x / E[W])."""
    return mean / waits * math.log(waits / (1.0 - q)) if waits > 1.0 - q else 0.0


def first_token(v: Bag, batch: float, limit: float, p: str) -> float:
    """Return a TTFT percentile."""
    b, q = batch / v.ranks, QUANTILES[p]
    per_token = step(v, b, v.max_batched_tokens) / v.max_batched_tokens / v.pp
    arrivals = rate(v, batch) * v.requests / v.dp
    busy = arrivals * v.n1 * per_token
    if busy >= 1.0 or batch >= limit:
        return math.inf
    queue = wait_quantile(busy, arrivals * v.n2 * per_token**2 / (2.0 * (1.0 - busy)), q)
    beta = min((limit - batch) / math.sqrt(batch), 30.0)
    full = 1.0 / (1.0 + beta * NORMAL.cdf(beta) / NORMAL.pdf(beta))
    service = (1.0 + v.cv2) / 2.0 * (v.output - 1.0) * steady(v, batch) / v.kept
    slot = wait_quantile(full, full * service / (limit - batch), q)
    host = v.request_overhead_s + v.prompt_overhead_s
    steps = v.scheduling_steps * steady(v, batch) + step(v, b, 0.0)
    return host + queue + slot + steps + v.uncached[p] * per_token * v.pp


def latencies(v: Bag, batch: float, limit: float, first: Callable[[str], float] | None = None) -> dict[str, float]:
    """Return every latency percentile at a running batch; `first` is the TTFT of a percentile where others read."""
    first = first or (lambda p: first_token(v, batch, limit, p))
    out, u, ttft50, tpot50 = {}, v.requests, first("p50"), steady(v, batch) / v.kept
    for p, q in QUANTILES.items():
        high = min(batch + NORMAL.inv_cdf(q) * math.sqrt(batch), max(limit, batch))
        widened = step(v, high / v.ranks, 0.0) / step(v, batch / v.ranks, 0.0)
        ttft, tpot = first(p), tpot50 if p == "p50" else tpot50 * widened
        found = []
        for tokens in (v.longest, v.thinking):
            decode50, decode = max(tokens["p50"] - 1.0, 0.0) * tpot50, max(tokens[p] - 1.0, 0.0) * tpot
            found += [ttft50 + decode50, math.hypot(ttft - ttft50, decode - decode50) if p != "p50" else 0.0]
        out[f"ttft_{p}_s"], out[f"tpot_{p}_s"] = ttft, tpot if v.output > 1.0 else math.nan
        out[f"e2e_{p}_s"] = u * found[0] + math.sqrt(u) * found[1] + v.pause_s
        earlier = math.sqrt(u - 1.0) * found[1] if u > 1.0 else 0.0
        out[f"time_to_answer_{p}_s"] = (u - 1.0) * found[0] + found[2] + math.hypot(earlier, found[3]) + v.pause_s
    return out


def capacity(v: Bag, limit: float, largest: float) -> float:
    """Return the largest running batch that meets every SLO percentile; NaN where none does."""

    def meets(batch: float) -> bool:
        found = latencies(v, batch, limit)
        free = [name for name, bound in v.slo.items() if math.isnan(bound) or (name[:4] == "tpot" and v.output <= 1.0)]
        return all(found[name] <= bound for name, bound in v.slo.items() if name not in free)

    if meets(largest):
        return largest
    return bisect_log(meets, 1e-6 * largest, largest) if meets(1e-6 * largest) else math.nan


def spares(replicas: float, up: float, availability: float) -> float:
    """Return the replicas to add so that enough are up with the wanted availability."""
    term = total = up**replicas
    for k in range(161 if replicas * (1.0 - up) < 40.0 else 0):
        if total >= availability:
            return k
        term *= (replicas + k) / (k + 1.0) * (1.0 - up)
        total += term
    z, mean = NORMAL.inv_cdf(availability), replicas * (1.0 - up) / up
    deviation = math.sqrt(replicas * (1.0 - up)) / up
    return math.ceil(mean + z * deviation + (z**2 - 1.0) / 6.0 * (2.0 - up) / up)


def busy_watts(v: Bag, batch: float) -> float:
    """Return the draw of a busy GPU."""
    (piece, share), b = pieces(v, batch), batch / v.ranks
    streamed = products = 0.0
    for part, tokens in ((1.0 - share, 0.0), (share, piece)):
        memory_side, compute_side = (sum(side) for side in zip(*operations(v, b, tokens), strict=True))
        streamed += part * min(memory_side, step(v, b, tokens))
        products += part * min(compute_side, step(v, b, tokens))
    mixed = v.busy_power_memory * streamed + v.busy_power_compute * products
    drawn = v.busy_power_base + mixed / engine_step(v, batch)
    return v.tdp_w * min(drawn, v.busy_power_top)


def fleet(v: Bag, out: dict[str, float], served: float) -> float:
    """Add replicas, nodes and GPUs of replicas that serve this rate; return the GPUs that are paid."""
    usable, unit = served * (1.0 - v.headroom), v.gpus_per_instance
    up = 1.0 / (1.0 + v.failures_per_gpu_hour * v.size * v.repair_hours)

    def machines(rate: float) -> tuple[float, float, float]:
        """Return replicas, spares and GPUs on whole machines at a rate."""
        needed = max(math.ceil(rate * v.burst / usable), 1)
        spare = spares(needed, up, v.availability)
        whole = needed + spare
        nodes = math.ceil(whole / (unit // v.size)) if unit >= v.size else whole * math.ceil(v.size / unit)
        return needed, spare, nodes * unit if v.sells_nodes else whole * v.size

    out["replicas"], out["spare_replicas"], out["gpus"] = machines(v.answers_per_s * v.peak_to_mean)
    mean = sum(machines(v.answers_per_s * relative)[2] for relative in v.relative_rate) / len(v.relative_rate)
    if v.sells_nodes:
        out["nodes"], out["nodes_mean"] = out["gpus"] / unit, (mean if v.bills_mean else out["gpus"]) / unit
    out["meets_slo"] = float(not out["gpus"] > v.max_gpus)
    return mean if v.bills_mean else out["gpus"]


def load(v: Bag, out: dict[str, float], paid: float, batch: float) -> None:
    """Add dollars, power and carbon of the paid GPUs at the peak's running batch."""
    per_token = step(v, batch / v.ranks, v.max_batched_tokens) / v.max_batched_tokens / v.pp
    prompts = batch / v.ranks * v.prefill / v.steps * per_token
    alone = step(v, batch / v.ranks, 0.0) + drafting(v, batch)
    idle = math.exp(-batch / (v.peak_to_mean * v.burst))
    watts = busy_watts(v, batch) * (1.0 - idle) + v.idle_w * idle
    bill(v, out, paid, prompts / (prompts - alone * math.expm1(-batch / v.ranks)), watts)


def bill(v: Bag, out: dict[str, float], paid: float, prefill_share: float, watts: float) -> None:
    """Add dollars, power and carbon of the paid GPUs that draw so many watts each."""
    price, answers = v.usd_per_gpu_hour * (1.0 + v.extra_share), out["answers_per_month"]
    out["gpu_hours_per_month_reserved"] = paid * 730.0
    out["gpu_hours_per_month_used"] = answers * out["gpu_seconds_per_answer"] / 3600.0
    out["utilization"] = out["gpu_hours_per_month_used"] / (paid * 730.0)
    out["cost_usd_per_month"], out["cost_usd_per_answer"] = paid * 730.0 * price, paid * 730.0 * price / answers
    out["cost_usd_per_answer_used"] = out["gpu_seconds_per_answer"] / 3600.0 * price
    out["cost_usd_per_mtok_input"] = out["cost_usd_per_answer"] * prefill_share / v.inputs * 1e6
    out["cost_usd_per_mtok_output"] = out["cost_usd_per_answer"] * (1.0 - prefill_share) / v.generated * 1e6
    out["cost_usd_per_correct_answer"] = out["cost_usd_per_answer"] / v.accuracy
    out["power_kw"] = paid * watts * v.node_power_overhead * v.pue / 1e3
    out["energy_kwh_per_month"] = out["power_kw"] * 730.0
    out["energy_wh_per_answer"] = out["energy_kwh_per_month"] * 1e3 / answers
    out["co2e_kg_per_month"] = out["energy_kwh_per_month"] * v.gco2e_per_kwh / 1e3


def both_workloads(case: dict) -> list[dict]:
    """Return the case and the same without thinking."""
    plain = [c | {"reasoning_multiplier": 1.0, "generated_tokens_cv": c["answer_tokens_cv"]} for c in case["workload"]]
    return [case, case | {"workload": plain}]


def known(v: Bag, fits: bool, limit: float) -> dict[str, float]:  # noqa: FBT001 - a result, not a switch
    """Return the fields that no load changes; the others are missing."""
    return dict.fromkeys(FIELDS.split(), math.nan) | {
        "fits": float(fits),
        "meets_slo": 0.0,
        "gpus_per_replica": v.size,
        "accuracy": v.accuracy,
        "answers_per_month": v.answers_per_s * 730.0 * 3600.0,
        "input_tokens_per_answer": v.inputs,
        "answer_tokens_per_answer": v.visible,
        "generated_tokens_per_answer": v.generated,
        "reasoning_multiplier": v.multiplier,
        "truncated_share": v.truncated,
        "max_concurrency_per_replica": math.floor(limit),
        "longest_context_tokens": v.longest_alone,
        "usd_per_gpu_hour": v.usd_per_gpu_hour,
    }


def estimate(case: dict) -> dict[str, float]:
    """Return the estimate of one case; NaN where there is no number."""
    options = []
    for asked in both_workloads(case):
        v = read(asked)
        fits, limit = memory(v)
        largest = min(limit, v.ranks * v.max_batched_tokens * v.steps / v.prefill)
        options.append((v, fits, limit, largest, capacity(v, limit, largest) if fits else math.nan))
    (v, fits, limit, largest, batch), (plain, _, _, _, plain_batch) = options
    out = known(v, fits, limit)
    if math.isnan(batch):
        return out | (latencies(v, 1e-6 * largest, limit) if fits else {})
    served = rate(v, batch)
    out["gpu_seconds_per_answer"], out["output_tokens_per_s_per_gpu"] = v.size / served, served * v.generated / v.size
    paid = fleet(v, out, served)
    arrivals = v.answers_per_s * v.peak_to_mean * v.burst / out["replicas"]
    idlest = min(arrivals * v.steps * step(v, 0.0, 0.0) / 2.0, batch)
    running = bisect_log(lambda x: rate(v, x) < arrivals, idlest, batch)
    out["concurrency_per_replica"] = running
    if not math.isnan(plain_batch):
        out["gpu_time_multiplier"] = out["cost_multiplier"] = rate(plain, plain_batch) / served
        watts, plain_watts = busy_watts(v, batch), busy_watts(plain, plain_batch)
        out["energy_multiplier"] = out["gpu_time_multiplier"] * watts / plain_watts
    load(v, out, paid, running)
    return out | latencies(v, running, limit)
