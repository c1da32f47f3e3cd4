"""What the API's endpoints are about, in the order in which people look for it."""

from typing import Final

TITLES: Final = {
    "containers": "Containers",
    "logs": "Logs",
    "statistics": "Statistics",
    "updates": "Updates",
    "images": "Images",
    "volumes": "Volumes and backups",
    "networks": "Networks",
    "operations": "Operations",
    "events": "Events",
    "devices": "Devices",
    "credentials": "Log-ins and TLS identities",
    "host keys": "Host keys",
    "registries": "Registries",
    "people": "People, roles, tokens, audit",
}
