"""The question: workload, latency limits, fleet and prices; variants and --set."""
