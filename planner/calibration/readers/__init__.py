"""Readers of benchmark result files: each turns a file into rows of `predict` with what was measured beside them."""
