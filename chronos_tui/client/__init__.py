"""How both faces of the terminal program talk to the server: the same calls and errors.

`wire` is the small synchronous client of the verbs, on the standard library alone; `live` is the asynchronous one of
the terminal app, which gives typed models. What is shown, and what an error means for an exit code, is for their users.
"""

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.client.wire import Client

__all__ = ["Client", "ServerError", "Unreachable"]
