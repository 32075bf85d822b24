"""From what a replica serves to machines, dollars and watts."""
