"""Two pools after docs/method.md in plain Python, on the scalars of second_implementation.py, not on the planner."""

import math
from collections.abc import Callable
from types import ModuleType
from types import SimpleNamespace as Bag

LOOKS = 12
IDLE = 1e-6


class Second:
    """A reader and a writer of one case."""

    def __init__(self, one: ModuleType, case: dict) -> None:
        self.one = one
        layout = {"layout": case["layout"]}
        shared = {k: v for k, v in case.items() if k not in {"layout", "prefill_layout"}}
        self.v, self.r = one.read(shared | layout), one.read(shared | {"layout": case["prefill_layout"]})
        fits, self.limit = one.memory(self.v)
        self.fits = fits and one.memory(self.r)[0]
        self.v.prefill = 0.0  # a writer's steps carry no prompts
        self.omega = one.step(self.r, 0.0, self.r.max_batched_tokens) / self.r.max_batched_tokens / self.r.pp
        self.most = self.r.dp / (self.r.requests * self.r.n1 * self.omega)
        self.transfer = self.prompt_bytes() / (min(self.r.tp, self.v.tp) * self.r.network_bytes_per_s)
        self.transfer /= self.r.network_efficiency

    def prompt_bytes(self) -> float:
        """Return the cache of a mean prompt over all GPUs."""
        r, prompt = self.r, self.prompt
        split, window = r.kv_ranks, min(prompt, r.window_tokens)
        r.kv_ranks = 1.0
        found = self.one.cache_bytes(r, prompt, window, prompt) + r.state_bytes
        r.kv_ranks = split
        return float(found)

    def first(self, f: float, batch: float) -> Callable[[str], float]:
        """Return the time to first token by percentile at a load of the reader and a batch of the writer."""
        one, r, v, limit = self.one, self.r, self.v, self.limit

        def at(p: str) -> float:
            q, arrivals = one.QUANTILES[p], f * self.most * r.requests / r.dp
            if f >= 1.0 or batch >= limit:
                return math.inf
            queue = one.wait_quantile(f, arrivals * r.n2 * self.omega**2 / (2.0 * (1.0 - f)), q)
            beta = min((limit - batch) / math.sqrt(batch), 30.0)
            full = 1.0 / (1.0 + beta * one.NORMAL.cdf(beta) / one.NORMAL.pdf(beta))
            held = (v.output - 1.0) * one.steady(v, batch) / v.kept
            place = one.wait_quantile(full, full * (1.0 + v.cv2) / 2.0 * held / (limit - batch), q)
            host = r.request_overhead_s + r.prompt_overhead_s + (r.scheduling_steps + 1.0) * one.step(r, 0.0, 0.0)
            return host + queue + r.uncached[p] * self.omega * r.pp + self.transfer + place

        return at

    def latencies(self, f: float, batch: float) -> dict[str, float]:
        """Return every latency."""
        return self.one.latencies(self.v, batch, self.limit, self.first(f, batch))

    def meets(self, f: float, batch: float) -> bool:
        """Return whether every limit is met."""
        found, short = self.latencies(f, batch), self.v.output <= 1.0
        limits = {n: x for n, x in self.v.slo.items() if not math.isnan(x) and not (short and n.startswith("tpot"))}
        return all(found[name] <= limit for name, limit in limits.items())

    def largest_batch(self, f: float) -> float:
        """Return the largest batch within the limits; NaN where there is none."""
        if self.meets(f, self.limit):
            return self.limit
        if not self.meets(f, IDLE * self.limit):
            return math.nan
        return self.one.bisect_log(lambda b: self.meets(f, b), IDLE * self.limit, self.limit)

    def seconds(self, f: float, batch: float) -> tuple[float, float]:
        """Return GPU-seconds of an answer at the reader and at the writer."""
        return self.r.size / (f * self.most), self.v.size / self.one.rate(self.v, batch)

    def capacity(self) -> tuple[float, float]:
        """Return (load of the reader, batch of the writer); NaN where nothing meets the limits."""
        if all(math.isnan(x) for x in self.v.slo.values()):
            return 1.0, self.limit
        idle = IDLE * self.limit
        if not self.meets(IDLE, idle):
            return math.nan, math.nan
        top = 1.0 if self.meets(1.0, idle) else self.one.bisect_log(lambda f: self.meets(f, idle), IDLE, 1.0)
        top *= 1.0 - 1e-9
        loads = [top * (1.0 - 0.98 * (k / (LOOKS - 1)) ** 2) for k in range(LOOKS)]
        best = self.best(loads)[1]
        low, high = loads[min(best + 1, LOOKS - 1)], loads[max(best - 1, 0)]
        closer = [loads[best], *(low + (high - low) * k / (LOOKS + 1) for k in range(1, LOOKS + 1))]
        found, at = self.best(closer)
        return closer[at], found[at]

    def best(self, loads: list[float]) -> tuple[list[float], int]:
        """Return (batch at each load, position of the fewest GPU-seconds)."""
        batches = [self.largest_batch(f) for f in loads]
        cost = [math.inf if math.isnan(b) else sum(self.seconds(f, b)) for f, b in zip(loads, batches, strict=True)]
        return batches, cost.index(min(cost))

    def reader_watts(self, busy: float) -> float:
        """Return the draw of a reader's GPU that is busy this share of its time."""
        r, one = self.r, self.one
        sides = [sum(side) for side in zip(*one.operations(r, 0.0, r.max_batched_tokens), strict=True)]
        memory, compute = (min(side / one.step(r, 0.0, r.max_batched_tokens), 1.0) for side in sides)
        drawn = r.busy_power_base + r.busy_power_memory * memory + r.busy_power_compute * compute
        return r.idle_w + (r.tdp_w * min(drawn, r.busy_power_top) - r.idle_w) * min(busy, 1.0)

    def busy_watts(self, f: float, batch: float) -> float:
        """Return the draw of a GPU at capacity over the GPU-seconds of an answer."""
        read, written = self.seconds(f, batch)
        return (read * self.reader_watts(f) + written * self.one.busy_watts(self.v, batch)) / (read + written)

    @property
    def prompt(self) -> float:
        """Return what is sent of a mean prompt, each answer counted once."""
        return self.v.mean_prompt - self.v.shared


def pool(one: ModuleType, v: Bag, served: float) -> tuple[dict[str, float], float]:
    """Return (the fleet of a pool, GPUs that are paid): up with the root of the availability."""
    out = {"nodes": math.nan, "nodes_mean": math.nan}
    wanted, v.availability = v.availability, math.sqrt(v.availability)
    paid = one.fleet(v, out, served)
    v.availability = wanted
    return out, paid


def estimate(one: ModuleType, case: dict) -> dict[str, float]:
    """Return the estimate of a case with two pools; NaN where there is no number."""
    found, plain = (Second(one, asked) for asked in one.both_workloads(case))
    v, r = found.v, found.r
    out = one.known(v, found.fits, found.limit) | {"prefill_gpus_per_replica": r.size}
    f, batch = found.capacity() if found.fits else (math.nan, math.nan)
    if math.isnan(batch):
        return out | (found.latencies(IDLE, IDLE * found.limit) if found.fits else {})
    out["gpu_seconds_per_answer"] = sum(found.seconds(f, batch))
    out["output_tokens_per_s_per_gpu"] = v.generated / out["gpu_seconds_per_answer"]
    (reads, paid_r), (writes, paid_w) = pool(one, r, f * found.most), pool(one, v, one.rate(v, batch))
    out |= {k: reads[k] + writes[k] for k in ("spare_replicas", "nodes", "nodes_mean", "gpus")}
    out |= {"replicas": writes["replicas"], "prefill_replicas": reads["replicas"]}
    out["meets_slo"] = float(not out["gpus"] > v.max_gpus)
    peak = v.answers_per_s * v.peak_to_mean * v.burst
    arrivals = peak / out["replicas"]
    idlest = min(arrivals * v.steps * one.step(v, 0.0, 0.0) / 2.0, batch)
    running = one.bisect_log(lambda x: one.rate(v, x) < arrivals, idlest, batch)
    out["concurrency_per_replica"] = running
    plain_f, plain_batch = plain.capacity()
    if not math.isnan(plain_batch):
        ratio = out["gpu_seconds_per_answer"] / sum(plain.seconds(plain_f, plain_batch))
        out["gpu_time_multiplier"] = out["cost_multiplier"] = ratio
        watts = found.busy_watts(f, batch), plain.busy_watts(plain_f, plain_batch)
        out["energy_multiplier"] = ratio * watts[0] / watts[1]
    idle = math.exp(-running / (v.peak_to_mean * v.burst))
    writer = one.busy_watts(v, running) * (1.0 - idle) + v.idle_w * idle
    reader = found.reader_watts(v.answers_per_s * r.size / (found.most * paid_r))
    paid = paid_r + paid_w
    one.bill(v, out, paid, paid_r / paid, (paid_r * reader + paid_w * writer) / paid)
    return out | found.latencies(peak / reads["replicas"] / found.most, running)
