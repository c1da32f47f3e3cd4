"""Deployment as it is: the image built by an Engine, the compose file's services started and driven."""
