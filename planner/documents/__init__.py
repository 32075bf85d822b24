"""A file in: every value with its place (file:line:column) and its source."""
