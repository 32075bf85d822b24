"""Entry point: `planner`, `inference-planner` and `python -m planner`."""

import sys

import planner


def main() -> None:
    """Run the command line; `--version` answers before anything heavy is imported."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"inference-planner {planner.__version__}\n")
        return
    from planner.cli.main import run  # noqa: PLC0415 - --version must not pay for click

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
