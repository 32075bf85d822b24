"""Write docs/article.md: every claim of scenarios/article/claims.yaml with its commands and what they print."""

import contextlib
import io
import shlex
from pathlib import Path
from typing import Any

import yaml

from planner.cli.main import run

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = ROOT / "scenarios" / "article" / "claims.yaml"
PAGE = ROOT / "docs" / "article.md"
HEAD = """\
# An article, claim by claim

On 2024-09-14, two days after o1-preview came out, an article in LatePost set out in numbers what it costs and why the
money spent on large models may or may not come back. Below is every quantitative claim of it in our words, the command
that reproduces or questions it with what it prints, and a verdict. `make article` writes this page from
`scenarios/article/claims.yaml`, and a test runs every command of it.

How many times GPT-4o is o1-preview? 4.2 by characters, 10.7 by latency, 21 by API price (13 at the price of the
snapshot that `gpt-4o` meant that day), 149 by quota. They measure different things, and only the first comes near
tokens: at 3.5 characters per token, an assumption with a range.

| claims | verdict |
|---|---|
"""


def claims() -> list[dict[str, Any]]:
    """Return the claims in order."""
    found: list[dict[str, Any]] = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))["claims"]
    return found


def printed(command: str) -> str:
    """Return what a command prints: its answer, or its error where it refuses."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(shlex.split(command)[1:])
    text = out.getvalue() if code == 0 else err.getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines())


def section(claim: dict[str, Any]) -> str:
    """Return a claim with its commands and their output."""
    parts = [f"## {claim['number']}. {claim['claim']}", f"**{claim['verdict'][:1].upper()}{claim['verdict'][1:]}.**"]
    parts += [f"```console\n$ {command}\n{printed(command)}\n```" for command in claim["commands"]]
    return "\n\n".join([*parts, claim["comment"].strip()])


def page() -> str:
    """Return the page."""
    table = "\n".join(f"| {c['number']} | {c['verdict']} |" for c in claims())
    return HEAD + table + "\n\n" + "\n\n".join(section(c) for c in claims()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
