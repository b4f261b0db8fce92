"""Free ports, chosen once per home and remembered."""

import hashlib
import socket
from typing import Final

from propdesk.core.errors import ConfigFault
from runtime.home import Home, read_json, write_json

LOOPBACK: Final = "127.0.0.1"
_FIRST: Final = 15_000
_SPAN: Final = 15_000
"""Below the range from which the kernel serves outgoing connections (32768 and up)."""
_TRIES_MAX: Final = 2_000


def is_free(port: int) -> bool:
    """Tell whether nothing listens on ``port`` of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Lets a port pass whose last connections are only fading out (TIME_WAIT), never one with a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class PortBook:
    """Ports of one home by process name, kept in ``run/ports.json``.

    Parameters
    ----------
    home : Home
        Created already.
    """

    def __init__(self, home: Home) -> None:
        self._file = home.run / "ports.json"
        digest = hashlib.sha256(str(home.path).encode()).digest()
        self._start = int.from_bytes(digest[:4], "big") % _SPAN

    def known(self) -> dict[str, int]:
        """Return the remembered ports."""
        return {name: port for name, port in read_json(self._file).items() if isinstance(port, int)}

    def take(self, name: str, pinned: int = 0, variable: str = "", *, avoid: int = 0) -> int:
        """Give a free port for one process.

        Parameters
        ----------
        name : str
            The process.
        pinned : int
            A port a person asked for; 0 = none.
        variable : str
            The setting that pins it, for the message.
        avoid : int
            A port that was just found taken, though it looked free.

        Returns
        -------
        int
            The pinned one, else the remembered one if it is free, else another, then remembered.

        Raises
        ------
        ConfigFault
            If the pinned port is taken, or no port is free.
        """
        if pinned:
            if pinned == avoid or not is_free(pinned):
                raise ConfigFault(
                    f"Port {pinned} for {name} is taken by another program: stop that program, "
                    f"or set {variable or 'its setting'} to another port (0 chooses one)."
                )
            return pinned
        book = self.known()
        own = book.get(name, 0)
        if own and own != avoid and is_free(own):
            return own
        others = set(book.values()) | {avoid}
        for step in range(_TRIES_MAX):
            port = _FIRST + (self._start + step) % _SPAN
            if port not in others and is_free(port):
                write_json(self._file, {**book, name: port})
                return port
        raise ConfigFault(f"No free port was found for {name}: stop other programs, or pin one by a setting.")
