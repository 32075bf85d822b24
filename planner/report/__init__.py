"""Output formats, one file each, and their registry."""
