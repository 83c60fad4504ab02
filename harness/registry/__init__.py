"""Which plugins there are, and how to build one."""

from harness.registry.find import Registry
from harness.registry.mistake import ConfigurationError, DeviceError, Mistake, meant
from harness.registry.plugin import KINDS, Kind, Plugin, PluginError

__all__ = [
    "KINDS",
    "ConfigurationError",
    "DeviceError",
    "Kind",
    "Mistake",
    "Plugin",
    "PluginError",
    "Registry",
    "meant",
]
