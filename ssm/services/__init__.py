"""Embedded PostgreSQL and Redis, and the supervisor of all processes of one checkout. No Django inside."""
