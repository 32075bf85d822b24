"""`planner check-gpu`: compare the GPUs of this machine with their specs, and show what fits on them now."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import planner
from planner.catalog.catalog import Catalog
from planner.cli import common
from planner.documents.spec import today, validate
from planner.documents.yaml_reader import read_document
from planner.errors import EXIT_DATA_MISSING, EXIT_GATE_FAILED, EXIT_OK, Alarm
from planner.probe import Check, Fit, Question, check_host, fits_on, read_host
from planner.probe.draft import draft_spec
from planner.probe.facts import SCHEMA_VERSION, HostFacts
from planner.probe.words import gib
from planner.report.as_table import render_lines, render_table
from planner.report.output import emit, write_file
from planner.report.page import Column, Rank, Table
from planner.scenario.load import open_scenario
from planner.wording import count


@click.command("check-gpu")
@click.argument("scenario", default=common.DEFAULT_SCENARIO, metavar="[SCENARIO]")
@click.option("--facts", "facts_file", metavar="FILE", help="Check facts saved on another machine with --save.")
@click.option("--save", metavar="FILE", help="Save the driver's report as JSON (no host name, no serial numbers).")
@click.option("--write-spec", metavar="FILE", help="Draft a spec file for a GPU that the catalogue lacks.")
@click.option("--model", metavar="MODEL", help="Use another model: a name, a spec file or a Hugging Face config.json.")
@click.option("--precision", multiple=True, metavar="FORMAT", help="Use only these weight formats.")
@click.option("--engine", metavar="ENGINE", help="Serving engine: vllm, sglang, trtllm or any.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a field of the scenario.")
@common.format_option("table", "json")
@common.output_option
@common.notes_option
@common.catalog_option
def command(
    scenario: str,
    facts_file: str | None,
    save: str | None,
    write_spec: str | None,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Compare the GPUs of this machine with their specs, and show what SCENARIO's model does on them now.

    \b
    planner check-gpu
    planner check-gpu chat-assistant --model llama-3.1-8b --save facts.json
    planner check-gpu --facts facts.json

    Exit codes: 0 all GPUs match their specs; 1 a GPU differs; 2 bad file; 3 no driver or unknown GPU.
    """
    catalog = Catalog(catalogs)
    facts = load_facts(facts_file) if facts_file else read_host(today())
    if save:
        write_file(save, json.dumps(facts.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
    checks = check_host(facts, catalog)
    if write_spec:
        _write_spec(checks, facts, write_spec)
    document, folder = open_scenario(scenario, catalog)
    asked = Question(document, folder, common.changes(gpu=(), **question))
    found = [fits_on(check, asked, catalog) for check in checks]
    fits = [fit for fits, _ in found for fit in fits]
    warnings = list(dict.fromkeys([*_warnings(facts, checks), *(text for _, said in found for text in said)]))
    common.warn(warnings)
    emit(_as_json(facts, checks, fits, warnings) if form == "json" else _as_text(facts, checks, fits), output)
    click.get_current_context().exit(_exit_code(facts, checks))


def load_facts(name: str) -> HostFacts:
    """Return the facts of a file that --save wrote. Raises BadInputError with place and fault."""
    document = read_document(Path(name))
    return validate(HostFacts, document.data, document)


def _warnings(facts: HostFacts, checks: Sequence[Check]) -> list[str]:
    """Return warnings: unreadable GPUs, a Windows guest, unknown or sliced GPUs, a mixed machine."""
    said: list[str] = [Alarm(f"GPU {u.index} {u.reason}") for u in facts.unreadable]
    if facts.platform == "wsl":
        said.append("this is WSL on Windows: the driver does not report all facts, nor other programs")
    for check in checks:
        name = check.gpus[0].name
        if check.spec is None:
            near = f" Nearest: {', '.join(check.nearest)}." if check.nearest else ""
            said.append(Alarm(f"the catalogue has no spec of {name!r}.{near} --write-spec FILE drafts one."))
        elif check.sliced:
            said.append(Alarm(f"{name}: MIG is on; estimates do not model slices, so no fit is shown"))
    if len({c.gpus[0].name for c in checks}) > 1:
        said.append("the machine has different GPUs: each kind is checked separately; a replica uses one kind")
    return said


def _exit_code(facts: HostFacts, checks: Sequence[Check]) -> int:
    if facts.unreadable or not checks or any(c.spec is None for c in checks):
        return EXIT_DATA_MISSING
    return EXIT_OK if all(c.matches for c in checks) else EXIT_GATE_FAILED


def _write_spec(checks: Sequence[Check], facts: HostFacts, target: str) -> None:
    """Draft the spec of the first unknown card, else of the first card."""
    if not checks:
        return
    check = next((c for c in checks if c.spec is None), checks[0])
    if check.spec is not None:
        click.echo(
            f"note: the catalogue already has {check.gpus[0].name} ({check.spec.spec.id}); drafted anyway",
            err=True,
        )
    write_file(target, draft_spec(check.gpus[0], facts, today()))
    click.echo(f"wrote {target}; `planner validate {target}` lists what to fill in from the data sheet", err=True)


def _as_json(facts: HostFacts, checks: Sequence[Check], fits: Sequence[Fit], warnings: Sequence[str]) -> str:
    code = _exit_code(facts, checks)
    body = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": planner.__version__,
        "matches": None if code == EXIT_DATA_MISSING else code == EXIT_OK,
        "checks": [
            {
                "gpus": [g.index for g in c.gpus],
                "name": c.gpus[0].name,
                "spec": c.spec.spec.id if c.spec else None,
                "found_by": c.how,
                "nearest": list(c.nearest),
                "matches": c.matches,
                "prefill_speed": c.speed.prefill,
                "decode_speed": c.speed.decode,
                "findings": [dataclasses.asdict(f) for f in c.findings],
            }
            for c in checks
        ],
        "fits": [dataclasses.asdict(f) for f in fits],
        "warnings": list(warnings),
        "facts": facts.model_dump(mode="json"),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _as_text(facts: HostFacts, checks: Sequence[Check], fits: Sequence[Fit]) -> str:
    versions = [f"{word} {v}" for word, v in (("driver", facts.driver_version), ("CUDA", facts.cuda_version)) if v]
    origin = f"\n{facts.origin}" if facts.origin else ""
    lines = [f"facts of {facts.date.isoformat()}{', ' if versions else ''}{', '.join(versions)}{origin}", ""]
    for check in checks:
        lines += [*_check_lines(check), ""]
    if not fits:
        return render_lines(lines[:-1])
    return render_lines([*lines, _fit_title(fits)]) + render_table(_fit_table(fits)) + _fit_note(fits)


def _check_lines(check: Check) -> list[str]:
    label = _label([g.index for g in check.gpus])
    if check.spec is None:
        return [f"{label}: {check.gpus[0].name} - no spec in the catalogue"]
    outcome = "matches its spec" if check.matches else "differs from its spec"
    lines = [f"{label}: {check.gpus[0].name} = {check.spec.spec.id} (by {check.how}): {outcome}"]
    for word, verdict in (("matches", "agrees"), ("not reported", "unknown")):
        if listed := [f.effect for f in check.findings if f.verdict == verdict]:
            lines.append(f"  {word}: {', '.join(listed)}")
    lines += [f"  {f.verdict}: {f.field}: {f.effect}" for f in check.findings if f.verdict in {"differs", "note"}]
    return lines


def _label(indices: Sequence[int]) -> str:
    """Return the GPUs of a check in words.

    >>> _label([0]), _label([0, 1, 2]), _label([0, 2])
    ('GPU 0', 'GPUs 0-2', 'GPUs 0, 2')
    """
    first, last = indices[0], indices[-1]
    adjacent = last - first + 1 == len(indices) > 1
    listed = f"{first}-{last}" if adjacent else ", ".join(map(str, indices))
    return f"GPU{'s' if len(indices) > 1 else ''} {listed}"


def _fit_title(fits: Sequence[Fit]) -> str:
    kinds = dict.fromkeys(
        f"{f.gpus_of_host} x {f.gpu}, {gib(f.memory_bytes_per_gpu)} for the engine on each" for f in fits
    )
    return f"{fits[0].model} on {'; '.join(kinds)}:"


def _fit_table(fits: Sequence[Fit]) -> Table:
    return Table(
        [
            Column("weights", [f.precision for f in fits], Rank.KEY, text=True),
            Column("engine", [f.engine for f in fits], Rank.NAME, text=True),
            Column("layout", [f.layout for f in fits], Rank.NAME, text=True),
            Column("replicas", [f"{f.replicas:,}" if f.fits else "–" for f in fits], Rank.NUMBER),
            Column("fits", [_fits_in_words(f) for f in fits], Rank.MONEY),
            Column("missing per GPU", ["–" if f.fits else gib(f.missing_bytes_per_gpu) for f in fits], Rank.NUMBER),
            Column("sequences", [f"{f.max_concurrency:,.0f}" if f.fits else "–" for f in fits], Rank.NUMBER),
            Column("output tokens/s", [count(f.output_tokens_per_s if f.fits else None) for f in fits], Rank.NUMBER),
            Column("by spec", [count(f.output_tokens_per_s_by_spec) for f in fits], Rank.DETAIL),
        ]
    )


def _fits_in_words(fit: Fit) -> str:
    if not fit.fits:
        return "no" if fit.limit == "memory" else f"no ({fit.limit})"
    return "yes" if fit.meets_slo else f"yes, but misses the SLO ({fit.limit})"


def _fit_note(fits: Sequence[Fit]) -> str:
    if any(f.fits for f in fits):
        return ""
    least = min(fits, key=lambda f: f.missing_bytes_per_gpu * f.gpus_per_replica)
    total = least.missing_bytes_per_gpu * least.gpus_per_replica
    where = f"{least.precision}, {least.layout}"
    return render_lines([f"{least.model} does not fit: at least {gib(total)} missing in total ({where})"])
