"""Entry point: `planner`, `inference-planner` and `python -m planner`."""

import gc
import sys

import planner


def main() -> None:
    """Run the command line; `--version` answers before anything heavy is imported."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"inference-planner {planner.__version__}\n")
        return
    gc.disable()  # a short life makes few cycles; collecting them is a tenth of it
    from planner.cli.main import run  # noqa: PLC0415 - --version must not pay for click

    code = run(sys.argv[1:])
    gc.freeze()  # nothing is looked through again on the way out
    sys.exit(code)


if __name__ == "__main__":
    main()
