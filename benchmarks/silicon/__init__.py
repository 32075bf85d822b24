"""The measured runs of aiconfigurator-core's silicon_sample.csv, cleaned by the rules of docs/silicon.md."""
