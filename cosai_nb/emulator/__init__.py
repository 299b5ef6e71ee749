"""The same API on loopback. Nothing imports it but the command line and notebooks."""

from cosai_nb.emulator.faults import Fault
from cosai_nb.emulator.server import Emulator, serve
from cosai_nb.emulator.workload import Incident, QueueSpec, Scenario, TagSpec, Workload

__all__ = ["Emulator", "Fault", "Incident", "QueueSpec", "Scenario", "TagSpec", "Workload", "serve"]
