"""Economic questions: quotas, API or own, payback, what an answer is worth. Each is a file and a page of formulas."""
