"""A database of a benchmark's own on the server of `DATABASE_URL`, for those that write more than they would remove."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg


@contextmanager
def own_database(name: str) -> Iterator[None]:
    """While this lasts `DATABASE_URL` names an empty database. Enter before Django reads its settings."""
    url = os.environ["DATABASE_URL"]
    made = f"ssm_bench_{name}_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{made}"')
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{made}"))
    try:
        yield
    finally:
        os.environ["DATABASE_URL"] = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{made}" WITH (FORCE)')
