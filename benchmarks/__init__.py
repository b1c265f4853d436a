"""Measurements of allcores and its peers: one script a question. `python -m benchmarks` runs
them all.
"""
