"""How a machine was when a run failed on it."""

from datetime import datetime

from pydantic import BaseModel


class DiskFacts(BaseModel, frozen=True):
    """The file system that a folder lies in, in bytes; None where it did not answer."""

    path: str
    total_bytes: int | None = None
    free_bytes: int | None = None
    """For accounts other than root."""
    free_files: int | None = None
    """How many more may be made; None also where there is no such limit."""
    fault: str = ""
    """Why nothing is known."""


class ProcessFacts(BaseModel, frozen=True):
    """A process by its short name, which it may choose itself. Command lines may hold secrets and are not taken."""

    pid: int
    name: str
    cpu_percent: float
    """Of one processor, over a fifth of a second."""
    rss_bytes: int


class HostFacts(BaseModel, frozen=True):
    """The machine at a moment. Failures within a second share one; each has its own working folder."""

    at: datetime
    host: str
    processors: int
    load: tuple[float, float, float]
    """Averages of 1, 5 and 15 minutes."""
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    sockets: int | None
    """In use."""
    processes: int
    """That the daemon may see."""
    disks: tuple[DiskFacts, ...]
    """Of the daemon's state, then of the run's working folder."""
    by_cpu: tuple[ProcessFacts, ...]
    """Those that use most of a processor, the greatest first."""
    by_memory: tuple[ProcessFacts, ...]
