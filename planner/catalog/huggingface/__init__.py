"""A model's Hugging Face config.json, read into the same spec as the catalogue's own models."""
