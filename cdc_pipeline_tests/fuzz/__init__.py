"""A fuzzer: from a seed a plan, run against real servers, judged by rules of its own, shrunk to what fails.

docs/fuzzing.md says how it works and how it is steered.
"""
