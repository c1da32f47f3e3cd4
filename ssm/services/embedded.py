"""Start those of PostgreSQL and Redis that this checkout brings itself."""

import os
from collections.abc import Mapping

from ssm.services import postgres, redis
from ssm.services.binaries import find_postgres, find_redis, within_reach
from ssm.services.environment import postgres_access, read_environment_file, redis_access
from ssm.services.layout import Layout
from ssm.services.supervisor import Supervisor


def start_embedded_servers(
    layout: Layout,
    supervisor: Supervisor,
    environment: Mapping[str, str] = os.environ,
    *,
    durable: bool = True,
) -> None:
    """Start each server that the URL in `environment` points at, and wait until it is ready to be used.

    A URL of the user's own differs from the generated one, so nothing is started for it. Creates the cluster,
    role and database on first use. Raises BinaryMissing, DiskFull, ServiceFailed, StopRequested.
    """
    stored = read_environment_file(layout.environment_file)
    if "SSM_POSTGRES_PORT" in stored:
        database = postgres_access(stored)
        if environment.get("DATABASE_URL") == database.url:
            binaries = within_reach(find_postgres(postgres.stored_major(layout)), layout)
            postgres.create_cluster(layout, binaries, database)
            program = postgres.program(layout, binaries, database, durable=durable)
            supervisor.start(program, ready=lambda: postgres.is_ready(layout, database))
            postgres.create_database(database)
    if "SSM_REDIS_PORT" in stored:
        store = redis_access(stored)
        if environment.get("REDIS_URL") == store.url:
            binaries = within_reach(find_redis(), layout)
            redis.write_configuration(layout, store, durable=durable)
            supervisor.start(redis.program(layout, binaries), ready=lambda: redis.is_ready(store))
