"""Real registries, and a server that speaks as the well-known ones do, for tests of all apps."""
