"""Every way a scenario may be served, best first."""
