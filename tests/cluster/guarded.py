"""What locks protect, in a test: takes writes, each with a lock's name, mode and fencing token.

    with Guarded(directory) as guarded:    # guarded.path: the socket, guarded.history: its record
        ...
    Client(guarded.path).write(lock, mode, token, client)     # True: admitted

It does what DESIGN 10 asks of a resource: it keeps the greatest token that it admitted, by lock and
mode, and refuses a write if a greater one was admitted in a conflicting mode. Each write that comes
is written down with the true time, in the order in which they came, by this one thread. The socket
is a file, so it can be reached from every network namespace.
"""

import json
import selectors
import socket
import threading
import time

_MESSAGE_BYTES = 4096


class Fence:
    def __init__(self):
        self._greatest = {}  # (lock, mode) -> token

    def admit(self, lock, mode, token):
        rivals = ("exclusive", "shared") if mode == "exclusive" else ("exclusive",)
        if any(self._greatest.get((lock, rival), 0) > token for rival in rivals):
            return False
        self._greatest[lock, mode] = max(token, self._greatest.get((lock, mode), 0))
        return True


class Guarded:
    def __init__(self, directory):
        self.path = str(directory / "guarded")
        self.history = directory / "history-guarded.jsonl"
        self._fence = Fence()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        self._listener.listen(128)
        self._wake, woken = socket.socketpair()
        self._open = {self._listener, self._wake, woken}
        for one in (self._listener, woken):
            self._selector.register(one, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ending = False

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending = True
        self._wake.send(b"x")
        self._thread.join()
        for one in self._open:
            one.close()
        self._selector.close()

    def _run(self):
        with open(self.history, "w", encoding="ascii") as record:
            while not self._ending:
                for key, _ in self._selector.select():
                    if key.fileobj is self._listener:
                        connection, _ = self._listener.accept()
                        self._open.add(connection)
                        self._selector.register(connection, selectors.EVENT_READ)
                    elif not self._ending:
                        self._serve(key.fileobj, record)

    def _serve(self, connection, record):
        try:
            words = connection.recv(_MESSAGE_BYTES).decode().split()
            if words:
                lock, mode, token, client = words
                ok = self._fence.admit(lock, mode, int(token))
                at = str(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))
                record.write(json.dumps({
                    "client": "guarded", "op": "write", "lock": lock, "mode": mode, "token": token,
                    "by": client, "start": at, "end": at, "ok": ok,
                    "error": None if ok else "fenced"}) + "\n")
                record.flush()
                connection.send(b"+" if ok else b"-")
                return
        except OSError:
            pass  # killed between its question and our answer
        self._selector.unregister(connection)
        self._open.discard(connection)
        connection.close()


class Client:
    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(path)

    def write(self, lock, mode, token, client):
        self._socket.send(f"{lock} {mode} {token} {client}".encode())
        return self._socket.recv(1) == b"+"
