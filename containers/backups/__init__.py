"""Backups of volumes: the store, the streams between it and hosts, and plans. No host runs anything for them."""
