"""How the terminal app hears the daemon: live over Redis, and by asking the API while Redis is away.

The only package that imports redis; it takes a quarter of a second of CPU, so it is imported after the first frame.
"""

from chronos_tui.feed.feed import Feed
from chronos_tui.feed.link import Link, Listener

__all__ = ["Feed", "Link", "Listener"]
