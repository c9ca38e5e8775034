"""Keeps tables of one database continuously equal to tables of another."""

__version__ = "0.1.0"
