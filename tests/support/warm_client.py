"""Ask `tests.support.warm` for a program and end as it ends: ``warm_client.py SOCKET -m MODULE [WORD ...]``.

Runs without site packages, since what it saves is the start of an interpreter with all of ours.
"""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Hand streams, folder and environment over, hand signals on, and give the exit code."""
    _, place, flag, *words = sys.argv
    if flag != "-m":
        raise SystemExit(f"{flag} is not understood: a forked program is a module, after -m")
    request = {"words": words, "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        asked = json.dumps(request).encode() + b"\n"
        server.sendall(asked[socket.send_fds(server, [asked], [0, 1, 2]) :])
        # Until here a signal ends this program, and the fork never begins or is killed.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        answer = b""
        while not answer.endswith(b"\n"):
            more = server.recv(64)
            if not more:
                raise SystemExit("The process that forks programs has ended; its log lies beside its socket.")
            answer += more
    code = int(answer)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
