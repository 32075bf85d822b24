"""The GPU of this machine: what its driver says, how it differs from its spec, what fits on it."""

from planner.probe.compare import Check, Finding, check_host
from planner.probe.fits import Fit, Question, fits_on
from planner.probe.nvml import read_host

__all__ = ["Check", "Finding", "Fit", "Question", "check_host", "fits_on", "read_host"]
