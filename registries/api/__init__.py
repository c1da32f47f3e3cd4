"""Registries by the REST API: accounts, repositories and their tags."""
