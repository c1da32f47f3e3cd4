"""The Docker Engine API over channels: own fast requests and streams, and docker-py for the rest."""
