"""Measures this project beside other tools, in one run: `python -m benchmarks`, or `make bench`.

Knows how each of them is given the same work. Only `phased_steady` reaches into the project's code.
"""
