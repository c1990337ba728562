"""A TCP forwarder that can be cut: then connections stay open and nothing passes any more."""

import contextlib
import itertools
import selectors
import socket
import threading

from cell import own_address

_ports = itertools.count(7300)


class Proxy:
    """Listens at `address` and forwards to `target`, both HOST:PORT. A context manager.
    `answers`: cut after so many pieces of what the target sent."""

    def __init__(self, target, answers=None):
        self.address = f"{own_address()}:{next(_ports)}"
        self._target = self._pair(target)
        self._answers = answers
        self._far = set()  # the target's ends
        self._cut = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(self._pair(self.address))
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._open = [self._listener, self._wake, self._woken]
        self._thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _pair(address):
        host, port = address.rsplit(":", 1)
        return host, int(port)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.cut()
        for one in self._open:
            one.close()
        self._selector.close()

    def cut(self):
        """From here on nothing passes. Returns when that is so."""
        self._cut.set()
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        self._thread.join()

    def _run(self):
        while not self._cut.is_set():
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is not self._woken and not self._cut.is_set():
                    self._forward(key.fileobj, key.data)

    def _accept(self):
        near, _ = self._listener.accept()
        far = socket.create_connection(self._target)
        self._open += [near, far]
        self._far.add(far)
        self._selector.register(near, selectors.EVENT_READ, far)
        self._selector.register(far, selectors.EVENT_READ, near)

    def _forward(self, source, to):
        if source.fileno() < 0:
            return  # closed by what came just before
        if self._answers is not None and source in self._far:
            if self._answers == 0:
                self._cut.set()
                return
            self._answers -= 1
        try:
            data = source.recv(65536)
            to.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, to):
                self._selector.unregister(one)
                one.close()
