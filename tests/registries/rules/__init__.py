"""Tests of the rules of registries."""
