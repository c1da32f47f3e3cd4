"""Tests of the table of registries and of accounts."""
