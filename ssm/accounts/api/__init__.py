"""People, their roles and tokens, and the audit, by the REST API."""
