"""The door to Docker hosts: `pool.engine(target)` gives a warm engine or says why there is none."""

from devices.connections.breaker import ConnectionState
from devices.connections.host_figures import read_host_figures
from devices.connections.opening import open_engine
from devices.connections.pool import ConnectionPool, pool
from devices.docker.engine import Engine
from devices.docker.streams import EngineStream

__all__ = ["ConnectionPool", "ConnectionState", "Engine", "EngineStream", "open_engine", "pool", "read_host_figures"]
