"""Tell whether a message was missed. Pure."""

from scheduler_daemon.contract.events import WireMessage


class Sequence:
    """The numbers heard on each channel since the last epoch began."""

    def __init__(self) -> None:
        self._epoch = ""
        self._last: dict[str, int] = {}

    def complete(self, message: WireMessage) -> bool:
        """Take a message; False if something before it was missed or the picture was rebuilt.

        The first message of a channel is taken as it comes: whoever subscribes reads a snapshot afterwards.
        """
        if message.epoch != self._epoch:
            known, self._epoch = bool(self._epoch), message.epoch
            self._last = {message.channel: message.seq}
            return not known
        expected = self._last.get(message.channel)
        self._last[message.channel] = max(message.seq, expected or 0)
        if expected is None:
            return True
        return message.seq <= expected + (message.kind != "heartbeat")

    def forget(self, channel: str) -> None:
        """Hear a channel as if for the first time."""
        self._last.pop(channel, None)
