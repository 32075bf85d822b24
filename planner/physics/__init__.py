"""Textbook formulas on arrays."""
