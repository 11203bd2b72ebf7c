"""The edges, each behind a narrow port."""
