"""Talking to container registries: tags, digests, platforms, quotas. Everything is async and bounded in time and size.

Other modules use what is named here. Only this package knows httpx and botocore.
"""

from registries.client.client import RegistryClient
from registries.client.connector import Connector, Endpoint, SystemConnector
from registries.client.limits import Clock, Limits, SystemClock
from registries.client.memory import Memory
from registries.client.results import ManifestHead, Quota, TagList, TestStep
from registries.providers import Access
from registries.rules.manifests import (
    ImageConfig,
    ImageManifest,
    IndexManifest,
    LegacyManifest,
    Manifest,
    PlatformEntry,
)

__all__ = [
    "Access",
    "Clock",
    "Connector",
    "Endpoint",
    "ImageConfig",
    "ImageManifest",
    "IndexManifest",
    "LegacyManifest",
    "Limits",
    "Manifest",
    "ManifestHead",
    "Memory",
    "PlatformEntry",
    "Quota",
    "RegistryClient",
    "SystemClock",
    "SystemConnector",
    "TagList",
    "TestStep",
]
