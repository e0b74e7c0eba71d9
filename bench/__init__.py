"""Measurements of the server as its listeners meet it: ``python -m bench`` takes them and writes RESULTS.md."""
