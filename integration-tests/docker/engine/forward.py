"""Published ports: a listener of this machine whose connections go on in the network of a container."""

import ctypes
import os
import socket
import threading

NETWORK = 0x40000000  # CLONE_NEWNET


class Forwarder:
    """One port. Connections are accepted, and closed again if nobody listens behind, as published ports are."""

    def __init__(self, pid: int, port: int, source: str, target: tuple):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.source, self.target = source, target
        self.namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake the thread.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _run(self) -> None:
        # A thread has its own network; a socket stays in that in which it was made.
        if ctypes.CDLL(None, use_errno=True).setns(self.namespace, NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(self.namespace)
        while True:
            try:
                outer, _ = self.listener.accept()
            except OSError:
                return
            try:
                inner = socket.create_connection(self.target, source_address=(self.source, 0))
            except OSError:
                outer.close()
                continue
            for ends in ((outer, inner), (inner, outer)):
                threading.Thread(target=pump, args=ends, daemon=True).start()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Carries bytes one way until their end."""
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
