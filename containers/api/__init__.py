"""Endpoints of the REST API about what hosts hold and what is done there: each parses, calls one function, shows."""
