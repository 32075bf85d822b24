"""`planner list`: what the catalogue knows."""

from collections.abc import Callable, Iterator
from typing import Any

import click

from planner.catalog.api_prices import ApiPricesFile
from planner.catalog.benchmark_points import BenchmarkFile
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec, SystemSpec
from planner.catalog.market import PricesFile
from planner.catalog.model import ModelSpec
from planner.catalog.parameters import count_parameters
from planner.cli import common
from planner.documents.yaml_reader import read_document
from planner.errors import DataMissingError, did_you_mean
from planner.report.page import Page, PageRow, Section
from planner.report.tables import table

Table = tuple[list[str], Iterator[list[Any]]]
_TERA, _GIGA = 1e12, 1e9


def models(catalog: Catalog) -> Table:
    """Return the models with what decides their cost."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(ModelSpec):
            spec, counts = loaded.spec, count_parameters(loaded.spec)
            kinds = "+".join(
                dict.fromkeys(
                    g.kind + ("/window" if g.window else "") + ("/sparse" if g.sparse_top_k else "")
                    for g in spec.attention
                )
            )
            yield [
                spec.id,
                spec.name,
                round(counts.total / _GIGA, 2),
                round(counts.active / _GIGA, 2),
                kinds,
                spec.reasoning,
                spec.weights.experts or spec.weights.ffn,
                spec.max_context_tokens,
            ]

    return ["id", "name", "parameters_b", "active_b", "attention", "reasoning", "weights", "max_context_tokens"], rows()


def gpus(catalog: Catalog) -> Table:
    """Return the accelerators."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(GpuSpec):
            spec = loaded.spec
            rates = [getattr(spec.dense_flop_per_s, f) for f in ("fp16", "fp8", "fp4")]
            yield [
                spec.id,
                spec.name,
                spec.vendor,
                spec.released,
                round(spec.memory_bytes / _GIGA, 1),
                round(spec.hbm_bytes_per_s / _GIGA),
                *(None if r is None else round(r / _TERA) for r in rates),
                round(spec.link_bytes_per_s / _GIGA),
                spec.tdp_w,
                spec.confidence,
            ]

    return [
        "id",
        "name",
        "vendor",
        "released",
        "memory_gb",
        "memory_gb_per_s",
        "fp16_dense_tflops",
        "fp8_dense_tflops",
        "fp4_dense_tflops",
        "link_gb_per_s_one_way",
        "tdp_w",
        "confidence",
    ], rows()


def systems(catalog: Catalog) -> Table:
    """Return nodes and racks."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(SystemSpec):
            s = loaded.spec
            yield [s.id, s.name, s.gpu, s.gpus_per_node, s.scale_up_domain_gpus, s.power_w, s.capex_usd, s.confidence]

    return ["id", "name", "gpu", "gpus_per_node", "scale_up_domain_gpus", "power_w", "capex_usd", "confidence"], rows()


def engines(catalog: Catalog) -> Table:
    """Return serving engines."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(EngineSpec):
            yield [
                loaded.spec.id,
                loaded.spec.name,
                loaded.spec.version,
                loaded.spec.basis,
                " ".join(loaded.spec.vendors),
            ]

    return ["id", "name", "version", "basis", "vendors"], rows()


def prices(catalog: Catalog) -> Table:
    """Return every quote with its date and source."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(PricesFile):
            for index, q in enumerate(loaded.spec.quotes):
                source = loaded.source("quotes", index)
                yield [
                    loaded.spec.provider,
                    q.gpu,
                    q.tier,
                    q.region,
                    q.usd_per_gpu_hour,
                    q.as_of.isoformat(),
                    q.kind,
                    q.sold_by,
                    q.confidence,
                    source.title if source else None,
                ]

    return [
        "provider",
        "gpu",
        "tier",
        "region",
        "usd_per_gpu_hour",
        "as_of",
        "kind",
        "sold_by",
        "confidence",
        "source",
    ], rows()


_API_COLUMNS = (
    "usd_per_mtok_input",
    "usd_per_mtok_cached_input",
    "usd_per_mtok_output",
    "valid_from",
    "valid_to",
    "confidence",
)


def api_prices(catalog: Catalog) -> Table:
    """Return every token price of an API with its days and source."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(ApiPricesFile):
            for index, quote in enumerate(loaded.spec.token_prices):
                source = loaded.source("token_prices", index)
                numbers = [getattr(quote, name) for name in _API_COLUMNS]
                cells = [c.isoformat() if hasattr(c, "isoformat") else c for c in numbers]
                aliases = " ".join(quote.aliases)
                yield [loaded.spec.provider, quote.model, aliases, *cells, source.title if source else None]

    return ["provider", "model", "aliases", *_API_COLUMNS, "source"], rows()


def benchmarks(catalog: Catalog) -> Table:
    """Return every measured point: accuracy, and tokens of a sample with reasoning among them."""

    def rows() -> Iterator[list[Any]]:
        for loaded in catalog.all(BenchmarkFile):
            for index, point in enumerate(loaded.spec.points):
                source = loaded.source("points", index)
                yield [
                    loaded.spec.id,
                    point.model,
                    point.words() or None,
                    point.method,
                    point.samples,
                    point.accuracy,
                    point.generated_tokens.mean if point.generated_tokens else None,
                    point.reasoning_tokens,
                    point.as_of.isoformat(),
                    source.title if source else None,
                ]

    return [
        "benchmark",
        "model",
        "effort",
        "method",
        "samples",
        "accuracy",
        "generated_tokens",
        "reasoning_tokens",
        "as_of",
        "source",
    ], rows()


def scenarios(catalog: Catalog) -> Table:
    """Return the shipped scenarios and their variants."""

    def rows() -> Iterator[list[Any]]:
        for name, path in catalog.files("scenarios").items():
            data = read_document(path).data
            yield [name, data.get("title"), data.get("model"), " ".join(data.get("overrides") or {})]

    return ["name", "title", "model", "variants"], rows()


KINDS: dict[str, Callable[[Catalog], Table]] = {
    "models": models,
    "gpus": gpus,
    "systems": systems,
    "engines": engines,
    "prices": prices,
    "api-prices": api_prices,
    "benchmarks": benchmarks,
    "scenarios": scenarios,
}


@click.command("list")
@click.argument("kind", type=common.Word(list(KINDS)))
@click.argument("word", required=False, metavar="[WORD]")
@common.format_option("table", "csv", "json", "markdown")
@common.output_option
@common.catalog_option
def command(kind: str, word: str | None, form: str, output: str | None, catalogs: tuple[str, ...]) -> None:
    """List entries of the catalogue; with WORD, only those that contain it (exit code 3 if none does).

    \b
    planner list prices h100
    """
    header, listing = KINDS[kind](Catalog(catalogs))
    rows = list(listing)
    kept = [r for r in rows if word is None or any(word.lower() in str(c).lower() for c in r)]
    if word is not None and not kept:
        known = [c for r in rows for c in reversed(r) if isinstance(c, str) and " " not in c]  # of vllm and vLLM the id
        hint = did_you_mean(word, known) or f" `planner list {kind}` lists them."
        raise DataMissingError(f"none of the {kind} contains {word!r}.{hint}")
    found = [dict(zip(header, row, strict=True)) for row in kept]
    units = {name: "USD" for name in header if "usd" in name.split("_")} | {"released": "date"}
    page = Page(header, [PageRow(row) for row in found], [Section(table=table(header, found, units))])
    common.show(page, form, output)
