"""The files in which economic questions are asked."""
