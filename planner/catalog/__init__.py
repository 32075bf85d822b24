"""Machines, models, engines and prices as data files."""
