"""Tests, laid out as the package is: each name is a promise."""
