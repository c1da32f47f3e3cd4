"""SSH: the only package that knows the SSH library. Pinned host keys, one log-in, channels to sockets and programs."""
