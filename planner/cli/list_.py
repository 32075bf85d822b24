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
from planner.documents.spec import Loaded
from planner.documents.yaml_reader import read_document
from planner.errors import DataMissingError, did_you_mean
from planner.report.page import Page, PageRow, Section
from planner.report.tables import table

Listing = Iterator[dict[str, Any]]
"""The rows of a list, each value by its column; every row has the same columns."""
_TERA, _GIGA = 1e12, 1e9


def models(catalog: Catalog) -> Listing:
    """Yield the models with what decides their cost."""
    for loaded in catalog.all(ModelSpec):
        spec, counts = loaded.spec, count_parameters(loaded.spec)
        kinds = [
            g.kind + ("/window" if g.window else "") + ("/sparse" if g.sparse_top_k else "") for g in spec.attention
        ]
        yield {
            "id": spec.id,
            "name": spec.name,
            "parameters_b": round(counts.total / _GIGA, 2),
            "active_b": round(counts.active / _GIGA, 2),
            "attention": "+".join(dict.fromkeys(kinds)),
            "reasoning": spec.reasoning,
            "weights": spec.weights.experts or spec.weights.ffn,
            "max_context_tokens": spec.max_context_tokens,
        }


def gpus(catalog: Catalog) -> Listing:
    """Yield the accelerators."""
    for loaded in catalog.all(GpuSpec):
        spec = loaded.spec
        rates = {name: getattr(spec.dense_flop_per_s, name) for name in ("fp16", "fp8", "fp4")}
        yield {
            "id": spec.id,
            "name": spec.name,
            "vendor": spec.vendor,
            "released": spec.released,
            "memory_gb": round(spec.memory_bytes / _GIGA, 1),
            "memory_gb_per_s": round(spec.hbm_bytes_per_s / _GIGA),
            **{f"{name}_dense_tflops": None if r is None else round(r / _TERA) for name, r in rates.items()},
            "link_gb_per_s_one_way": round(spec.link_bytes_per_s / _GIGA),
            "tdp_w": spec.tdp_w,
            "confidence": spec.confidence,
        }


def systems(catalog: Catalog) -> Listing:
    """Yield nodes and racks."""
    names = ("id", "name", "gpu", "gpus_per_node", "scale_up_domain_gpus", "power_w", "capex_usd", "confidence")
    for loaded in catalog.all(SystemSpec):
        yield {name: getattr(loaded.spec, name) for name in names}


def engines(catalog: Catalog) -> Listing:
    """Yield serving engines."""
    for loaded in catalog.all(EngineSpec):
        spec = loaded.spec
        yield {name: getattr(spec, name) for name in ("id", "name", "version", "basis")} | {
            "vendors": " ".join(spec.vendors)
        }


def prices(catalog: Catalog) -> Listing:
    """Yield every quote with its date and source."""
    names = ("gpu", "tier", "region", "usd_per_gpu_hour", "as_of", "kind", "sold_by", "confidence")
    for loaded in catalog.all(PricesFile):
        for index, quote in enumerate(loaded.spec.quotes):
            yield {
                "provider": loaded.spec.provider,
                **{name: getattr(quote, name) for name in names},
                "source": _title(loaded, "quotes", index),
            }


def api_prices(catalog: Catalog) -> Listing:
    """Yield every token price of an API with its days and source."""
    names = ("usd_per_mtok_input", "usd_per_mtok_cached_input", "usd_per_mtok_output", "valid_from", "valid_to")
    for loaded in catalog.all(ApiPricesFile):
        for index, quote in enumerate(loaded.spec.token_prices):
            yield {
                "provider": loaded.spec.provider,
                "model": quote.model,
                "aliases": " ".join(quote.aliases),
                **{name: getattr(quote, name) for name in (*names, "confidence")},
                "source": _title(loaded, "token_prices", index),
            }


def benchmarks(catalog: Catalog) -> Listing:
    """Yield every measured point: accuracy, and tokens of a sample with reasoning among them."""
    for loaded in catalog.all(BenchmarkFile):
        for index, point in enumerate(loaded.spec.points):
            yield {
                "benchmark": loaded.spec.id,
                "model": point.model,
                "effort": point.words() or None,
                "method": point.method,
                "samples": point.samples,
                "accuracy": point.accuracy,
                "generated_tokens": point.generated_tokens.mean if point.generated_tokens else None,
                "reasoning_tokens": point.reasoning_tokens,
                "as_of": point.as_of,
                "source": _title(loaded, "points", index),
            }


def scenarios(catalog: Catalog) -> Listing:
    """Yield the shipped scenarios and their variants."""
    for name, path in catalog.files("scenarios").items():
        data = read_document(path).data
        yield {
            "name": name,
            "title": data.get("title"),
            "model": data.get("model"),
            "variants": " ".join(data.get("overrides") or {}),
        }


def _title(loaded: Loaded[Any], field: str, index: int) -> str | None:
    """Return the title of the source of an entry."""
    source = loaded.source(field, index)
    return source.title if source else None


KINDS: dict[str, Callable[[Catalog], Listing]] = {
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
    rows = list(KINDS[kind](Catalog(catalogs)))
    kept = [r for r in rows if word is None or any(word.lower() in str(c).lower() for c in r.values())]
    if word is not None and not kept:
        cells = [c for r in rows for c in reversed(r.values())]  # of vllm and vLLM the id
        known = [c for c in cells if isinstance(c, str) and " " not in c]
        hint = did_you_mean(word, known) or f" `planner list {kind}` lists them."
        raise DataMissingError(f"none of the {kind} contains {word!r}.{hint}")
    header = list(rows[0]) if rows else []
    units = {name: "USD" for name in header if "usd" in name.split("_")} | {"released": "date"}
    page = Page(header, [PageRow(row) for row in kept], [Section(table=table(header, kept, units) if header else None)])
    common.show(page, form, output)
