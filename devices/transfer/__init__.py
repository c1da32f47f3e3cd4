"""Devices as a file: out without secrets, in by a plan that shows what would become of each entry."""

from devices.transfer.applying import apply
from devices.transfer.planning import plan
from devices.transfer.writing import DEVICE, GROUP, LOGIN, WHAT, document

__all__ = ["DEVICE", "GROUP", "LOGIN", "WHAT", "apply", "document", "plan"]
