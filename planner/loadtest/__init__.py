"""What a load test would show, run by run."""
