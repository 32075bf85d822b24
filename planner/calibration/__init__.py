"""Published measurements as rows of `planner predict`: what the formulas are judged by and fitted to."""
