"""Enumerate the options of a scenario: GPU x precision x engine x layout x offer."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from planner.catalog.catalog import Catalog
from planner.catalog.engine_settings import configured
from planner.catalog.hardware import EngineSpec, FormatSpec, GpuSpec, SystemSpec
from planner.catalog.market import PricesFile, Quote
from planner.catalog.model import ModelSpec
from planner.catalog.support import SupportSpec
from planner.documents.spec import AnyFileSpec, Loaded
from planner.errors import DataMissingError, unknown
from planner.options.startup import as_run, support_of, why_not
from planner.scenario.load import Scenario

SEARCHED_KINDS = ("offer",)
"""Kinds of quote that are searched by default; others are used where their provider is named."""
_MULTI_NODE = (2, 4)
_MOST_TENSOR_PARALLEL = 16
_MOST_EXPERT_PARALLEL = 64


@dataclass(frozen=True)
class Precision:
    """Formats of the weights: as published, or one format for all linear weights."""

    name: str
    attention: FormatSpec
    ffn: FormatSpec
    experts: FormatSpec
    embedding: FormatSpec
    formats: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Names of the formats of attention, ffn and experts."""


@dataclass(frozen=True)
class Layout:
    """Parallelism of one replica: GPUs = tensor x pipeline x data."""

    tensor: int
    pipeline: int = 1
    data: int = 1
    expert: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor * self.pipeline * self.data

    @property
    def expert_slices(self) -> int:
        """Ranks that share one expert: all of them without expert parallelism, one where experts stay whole."""
        return max(self.tensor * self.data // self.expert, 1)

    @property
    def name(self) -> str:
        """Its parallelism, e.g. TP8 EP8; TP1 for one GPU."""
        parts = {"TP": self.tensor, "PP": self.pipeline, "DP": self.data, "EP": self.expert}
        return " ".join(f"{name}{size}" for name, size in parts.items() if size > 1) or "TP1"


@dataclass(frozen=True)
class Offer:
    """A quote with its file and its position there."""

    file: Loaded[PricesFile]
    index: int

    @property
    def quote(self) -> Quote:
        """Return the quote."""
        return self.file.spec.quotes[self.index]


@dataclass(frozen=True)
class Machine:
    """A GPU in its system, with an engine."""

    gpu: Loaded[GpuSpec]
    system: Loaded[SystemSpec] | None
    engine: Loaded[EngineSpec]
    """As its release and settings make it."""
    support: SupportSpec | None = None
    """What the engine runs; None: no table says, and nothing is refused."""
    version: str | None = None
    """The engine's release; None where no table knows it."""

    @property
    def domain_gpus(self) -> int:
        """GPUs connected by fast links: the NVLink domain, or a node without NVLink."""
        spec = self.system.spec if self.system else self.gpu.spec
        return spec.scale_up_domain_gpus if spec.scale_up_domain_gpus > 1 else self.node_gpus

    @property
    def node_gpus(self) -> int:
        """GPUs of one node (or rack, where the rack is the unit)."""
        return self.system.spec.gpus_per_node if self.system else self.gpu.spec.gpus_per_node


@dataclass(frozen=True)
class Candidate:
    """One option of the search."""

    machine: Machine
    precision: Precision
    layout: Layout
    offer: Offer | None
    prefill: Layout | None = None
    """Of a prefill pool, where the replicas of `layout` only decode; None: one pool does both."""
    why_not: str = ""
    """Why the engine does not start it; empty where it starts."""


def candidates(scenario: Scenario, catalog: Catalog, model: Loaded[ModelSpec], today: dt.date) -> list[Candidate]:
    """Return every option that the scenario allows. Raises DataMissingError for unknown names."""
    spec = scenario.spec
    found: list[Candidate] = []
    machines = list(_machines(scenario, catalog))
    offers = offers_by_gpu(scenario, catalog, today)
    precisions = list(_precisions(scenario, catalog, model.spec))
    cache = spec.fleet.kv_precision or model.spec.cache_format
    cache, _ = catalog.format(cache, where=scenario.loaded.document.place(("fleet", "kv_precision")))
    for machine in machines:
        of_gpu: list[Offer | None] = list(offers.get(machine.gpu.spec.id, [])) or [None]
        wanted = spec.fleet.tensor_parallel
        layouts = [x for x in usual_layouts(model.spec, machine) if not wanted or x.tensor in wanted]
        tried = [(as_run(p, machine), _starting(model.spec, machine, p, layouts, cache)) for p in precisions]
        for layout in layouts:
            rentable = [o for o in of_gpu if _can_hold(o, layout, machine)] or [None]
            found += [
                Candidate(machine, precision, layout, offer, why_not=starting[layout])
                for precision, starting in tried
                if layout in starting
                for offer in rentable
            ]
    return found


def _starting(
    model: ModelSpec, machine: Machine, precision: Precision, layouts: Sequence[Layout], cache: str
) -> dict[Layout, str]:
    """Return the layouts that start, each with an empty text; where none does, the first one with the reason."""
    reasons = {layout: why_not(model, machine, precision, layout, cache) for layout in layouts}
    return {layout: why for layout, why in reasons.items() if not why} or dict(islice(reasons.items(), 1))


def _machines(scenario: Scenario, catalog: Catalog) -> Iterator[Machine]:
    """Yield every GPU in each of its systems with each engine that runs on it, as the scenario names them."""
    fleet, place = scenario.spec.fleet, scenario.loaded.document.place

    def named(kind: type[AnyFileSpec], names: Sequence[str] | None, *key: str) -> list[Loaded[AnyFileSpec]]:
        if names is None:
            return list(catalog.all(kind))
        return [catalog.get(kind, name, where=place((*key, i))) for i, name in enumerate(names)]

    gpus = {gpu.spec.id: gpu for gpu in named(GpuSpec, fleet.gpus, "fleet", "gpus")}
    systems = named(SystemSpec, fleet.systems, "fleet", "systems")
    engines = [_released(engine, scenario, catalog) for engine in named(EngineSpec, scenario.spec.engine, "engine")]
    for gpu in gpus.values():
        of_gpu = [system for system in systems if system.spec.gpu == gpu.spec.id]
        if fleet.systems and not of_gpu:
            continue
        usual: list[Loaded[SystemSpec] | None] = [*of_gpu] if fleet.systems else [*of_gpu[:1]] or [None]
        for system in usual:
            for engine, support, version in engines:
                if gpu.spec.vendor in engine.spec.vendors:
                    yield Machine(gpu, system, engine, support, version)


def _released(
    engine: Loaded[EngineSpec], scenario: Scenario, catalog: Catalog
) -> tuple[Loaded[EngineSpec], SupportSpec | None, str | None]:
    """Return an engine as the scenario's release and settings make it, what it runs, and the release."""
    spec, support = scenario.spec, support_of(engine.spec, catalog)
    version = spec.engine_version
    if support is not None:
        where = scenario.loaded.document.place(("engine_version",))
        version = support.release(version, where=where) if version else support.newest
    return Loaded(configured(engine.spec, version, spec.engine_settings), engine.document), support, version


def _precisions(scenario: Scenario, catalog: Catalog, model: ModelSpec) -> Iterator[Precision]:
    wanted = scenario.spec.fleet.precisions
    if wanted is None:
        native = named_precision("native", catalog, model)
        wanted = ("native", "fp8") if native.name in _WIDE else ("native",)
    place = scenario.loaded.document.place
    for index, name in enumerate(wanted):
        yield named_precision(name, catalog, model, where=place(("fleet", "precisions", index)))


def named_precision(name: str, catalog: Catalog, model: ModelSpec, *, where: str = "") -> Precision:
    """Return a precision by name: `native` or its format is as published, else all linear weights in one format."""
    own = model.weights
    attention_name, attention = catalog.format(own.attention)
    ffn_name, ffn = catalog.format(own.ffn)
    experts_name, experts = catalog.format(own.experts or own.ffn)
    _, embedding = catalog.format(own.embedding)
    native_name = experts_name if any(group.experts for group in model.ffn) else ffn_name
    key, fmt = (native_name, experts) if name == "native" else catalog.format(name, where=where)
    if key == native_name or {key, native_name} == _EIGHT_BIT:
        formats = {"attention": attention_name, "ffn": ffn_name, "experts": experts_name}
        return Precision(native_name, attention, ffn, experts, embedding, formats)
    return Precision(key, fmt, fmt, fmt, embedding, dict.fromkeys(("attention", "ffn", "experts"), key))


_WIDE = {"bf16", "fp16", "fp32"}
_EIGHT_BIT = {"fp8", "fp8-block"}
"""Formats that are the same request: 8 bits, with the scales of the published checkpoint."""


def usual_layouts(model: ModelSpec, machine: Machine) -> Iterator[Layout]:
    """Yield the usual layouts: TP up to the fast domain, TP x PP over nodes, and for MoE TP+EP or attention-DP+EP."""
    heads = max(group.heads for group in model.attention)
    experts = max((group.experts or 1) for group in model.ffn) if model.ffn else 1
    node, domain = machine.node_gpus, machine.domain_gpus
    tensor = [t for t in (1, 2, 4, 8, 16) if t <= min(max(node, domain), _MOST_TENSOR_PARALLEL) and heads % t == 0]
    for t in tensor:
        yield Layout(t)
        if experts > 1 and t > 1 and experts % t == 0:
            yield Layout(t, expert=t)
    largest = tensor[-1]
    if machine.system is None:  # without a system, the network between nodes is unknown
        experts_over = [d for d in (2, 4, 8) if d <= node and experts > 1 and experts % d == 0]
        yield from (Layout(1, data=d, expert=d) for d in experts_over)
        return
    if largest >= min(node, _MOST_TENSOR_PARALLEL) // 2:
        yield from (Layout(largest, pipeline=p) for p in _MULTI_NODE)
    if experts > 1:
        sizes = [2**i for i in range(1, 7) if 2**i <= min(_MOST_EXPERT_PARALLEL, max(_MULTI_NODE[-1] * node, domain))]
        yield from (Layout(1, data=d, expert=d) for d in sizes if experts % d == 0)


def _can_hold(offer: Offer | None, layout: Layout, machine: Machine) -> bool:
    """Return whether a replica fits the machines of an offer: single-GPU machines do not form a node."""
    if offer is None or offer.quote.sold_by != "instance":
        return True
    return layout.gpus <= offer.quote.gpus_per_instance or offer.quote.gpus_per_instance >= machine.node_gpus


def offers_by_gpu(scenario: Scenario, catalog: Catalog, today: dt.date) -> dict[str, list[Offer]]:
    """Return GPU -> the newest quote of each provider, SKU, tier and region that the scenario's filters allow."""
    allowed = PriceFilter(scenario, catalog, today)
    newest: dict[tuple[str, str, str, str, str], Offer] = {}
    for file in catalog.all(PricesFile):
        for index, quote in enumerate(file.spec.quotes):
            if allowed.why_not(file.spec.provider, quote):
                continue
            key = (quote.gpu, file.spec.provider, quote.sku or "", quote.tier, quote.region)
            if key not in newest or newest[key].quote.as_of < quote.as_of:
                newest[key] = Offer(file, index)
    by_gpu: dict[str, list[Offer]] = {}
    for offer in newest.values():
        by_gpu.setdefault(offer.quote.gpu, []).append(offer)
    return by_gpu


class PriceFilter:
    """The filter of quotes given by a scenario's `prices`.

    Raises DataMissingError for a provider or a region that the catalogue does not have.
    """

    def __init__(self, scenario: Scenario, catalog: Catalog, today: dt.date) -> None:
        prices, place = scenario.spec.prices, scenario.loaded.document.place
        self.prices = prices
        self.day = today if prices.as_of == "latest" else prices.as_of
        self.providers = {
            catalog.get(PricesFile, n, where=place(("prices", "providers", i))).spec.provider
            for i, n in enumerate(prices.providers or ())
        }
        self.regions = {r.lower() for r in prices.regions or ()}
        sellers = (f.spec for f in catalog.all(PricesFile) if f.spec.provider in self.providers or not self.providers)
        known = sorted({q.region for seller in sellers for q in seller.quotes})
        for index, region in enumerate(prices.regions or ()):
            if region.lower() not in {k.lower() for k in known}:
                where = place(("prices", "regions", index))
                raise DataMissingError(unknown("region", region, known), where=where)

    def why_not(self, provider: str, quote: Quote) -> str:
        """Return why a quote is excluded, in words; empty where it is not."""
        if self.providers and provider not in self.providers:
            return "not among prices.providers"
        if quote.tier not in self.prices.tiers:
            return "not among prices.tiers"
        if not self.providers and quote.kind not in SEARCHED_KINDS:
            return f"kind {quote.kind}, searched only where its provider is named"
        if quote.as_of > self.day:
            return f"seen after {self._day_in_words()}"
        if quote.valid_until is not None and quote.valid_until < self.day:
            return f"valid until {quote.valid_until.isoformat()}, before {self._day_in_words()}"
        if self.regions and quote.region.lower() not in self.regions | {"any", "global"}:
            return "not among prices.regions"
        return ""

    def _day_in_words(self) -> str:
        return f"prices.as_of {self.day.isoformat()}" if self.prices.as_of != "latest" else "today"
