"""One replica: memory, step time, queues, and the most it serves within its limits."""
