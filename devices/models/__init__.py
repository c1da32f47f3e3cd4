"""Servers that SSM reaches, how it logs in to them, the way there, and the host keys it trusts."""

from devices.models.credentials import Credential, CredentialAnswer, DeviceGroup
from devices.models.devices import Device
from devices.models.host_keys import AcceptedKey, HostKey, HostKeyRule, JumpKey, ShownKey
from devices.models.jumps import Jump
from devices.models.tls import TlsIdentity
from ssm.lib.clock import now

__all__ = [
    "AcceptedKey",
    "Credential",
    "CredentialAnswer",
    "Device",
    "DeviceGroup",
    "HostKey",
    "HostKeyRule",
    "Jump",
    "JumpKey",
    "ShownKey",
    "TlsIdentity",
    "now",
]
