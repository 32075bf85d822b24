"""The measured runs of aiconfigurator's silicon data set, cleaned by rules."""
