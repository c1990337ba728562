"""Sockets, the service manager, signals, and bytes that make no sense."""

import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest

from cell import Cell, binary, wait_for

IO_ERROR = 74


def connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
            return True
        except OSError:
            return False


def alone(directory, *args, env=None):
    """A cell of one that listens as given."""
    return Cell(nodes=1, args=args, env=env, directory=directory)


# -- sockets ---------------------------------------------------------------------------------------


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "sockets" / "holdfast.sock"
    with alone(tmp_path / "a", "--listen", f"unix:{path}") as first:
        first.wait_leader()
        assert connects(path)
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with alone(tmp_path / "b", "--listen", f"unix:{path}") as second:
            assert second.wait_exit(1) == IO_ERROR
            assert second.nodes[1].logged(str(path))
        assert connects(path)
        first.kill(1)
        assert path.exists() and not connects(path)
        first.start()
        first.wait_logged(1, "listening")
        wait_for(lambda: connects(path), "the dead socket was replaced")
        assert first.stop(1) == 0
        assert not path.exists()


def test_a_file_in_the_sockets_place_is_not_touched(tmp_path):
    path = tmp_path / "holdfast.sock"
    path.write_text("precious")
    with alone(tmp_path / "a", "--listen", f"unix:{path}") as cell:
        assert cell.wait_exit(1) == IO_ERROR
    assert path.read_text() == "precious"


def test_an_address_in_use_is_named():
    with Cell(nodes=1) as first:
        first.wait_leader()
        with Cell(nodes=1, args=["--listen", first.nodes[1].address]) as second:
            assert second.wait_exit(1) == IO_ERROR
            assert second.nodes[1].logged(first.nodes[1].address)


def test_a_second_daemon_in_the_same_directory_is_an_error():
    with Cell(nodes=1) as first:
        first.wait_leader()
        second = subprocess.run(
            [str(binary("daemon/holdfastd")), "--data-dir", str(first.nodes[1].data_dir),
             "--listen", "unix:" + str(first.directory / "other.sock")],
            capture_output=True, text=True, timeout=10, check=False)
        assert second.returncode == IO_ERROR and str(first.nodes[1].data_dir) in second.stderr
        assert first.nodes[1].running


# -- the service manager ---------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path, abstract):
    """Type=notify: the unit counts as started at READY=1, so it must come, and not too early."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"@holdfast-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(10)
        listen = tmp_path / "s.sock"
        with alone(tmp_path / "a", "--listen", f"unix:{listen}",
                   env={"NOTIFY_SOCKET": name}) as cell:
            while b"READY=1" not in manager.recv(4096).split(b"\n"):
                pass
            assert connects(listen)
            cell.nodes[1].process.terminate()
            while b"STOPPING=1" not in manager.recv(4096).split(b"\n"):
                pass
            assert cell.wait_exit(1) == 0


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero(number):
    with Cell(nodes=1) as cell:
        cell.wait_leader()
        cell.nodes[1].process.send_signal(number)
        assert cell.wait_exit(1) == 0


def test_it_ends_also_while_it_waits_for_the_others():
    with Cell(nodes=3, start=False) as cell:
        cell.start(1)
        cell.wait_logged(1, "founding the cell: waiting")
        assert cell.stop(1) == 0


def test_a_stopped_leader_is_replaced_at_once():
    """Its links close, so nobody has to wait for the election timeout (P7)."""
    with Cell(nodes=3, args=["--election", "5s", "--heartbeat", "50ms"]) as cell:
        leader = cell.wait_leader(timeout=30)
        began = time.monotonic()
        assert cell.stop(leader) == 0
        cell.wait_leader(other_than=leader, timeout=30)
        assert time.monotonic() - began < 4.5


def test_hang_up_rereads_the_log_level(tmp_path):
    file = tmp_path / "holdfastd.toml"
    file.write_text('log-level = "info"\n')
    with Cell(nodes=1, args=["--config", str(file)]) as cell:
        cell.wait_leader()
        file.write_text('log-level = "nonsense"\n')
        cell.nodes[1].process.send_signal(signal.SIGHUP)
        cell.wait_logged(1, "nonsense")
        file.write_text('log-level = "error"\n')
        cell.nodes[1].process.send_signal(signal.SIGHUP)
        cell.wait_logged(1, "the log level is now in effect")
        assert cell.stop(1) == 0
        assert not cell.nodes[1].logged("stopping")


# -- the log ---------------------------------------------------------------------------------------


def test_each_line_of_the_json_log_is_an_object_whatever_is_in_it():
    """Machines read it: a quote in a name must not end their day, nor a line break a line."""
    name = 'a "quoted" \\ name\nwith a line break and \x1b[31mcolour'
    with Cell(nodes=1, args=["--name", name]) as cell:
        cell.wait_leader()
        lines = [json.loads(line) for line in cell.nodes[1].log_path.read_text().splitlines()]
        assert all({"time", "level", "message"} <= set(line) for line in lines)
        assert [line["name"] for line in lines if "name" in line] == [name]


def test_text_log_is_one_line_per_happening():
    with Cell(nodes=1, start=False, env={"HOLDFASTD_NAME": "a\nb c"}) as cell:
        cell.log_format = "text"
        cell.start()
        cell.wait_logged(1, "leading")
        text = cell.nodes[1].log_path.read_text()
        assert 'name="a\\nb c"' in text
        assert all(" info  " in line or " warning " in line for line in text.splitlines())


# -- nonsense --------------------------------------------------------------------------------------


def send(address, data):
    """Sends the bytes and waits until the daemon hangs up, or for a moment."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.settimeout(0.2)
        try:
            client.sendall(data)
            while client.recv(65536):
                pass
        except OSError:
            pass


def nonsense():
    dice = random.Random(20241124)
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(300)  # TLS
    yield b"\x00" * 100_000
    yield b"\xff" * 4096
    yield b"\xff\xff\xff\x7f" + b"\x00" * 64        # two thousand million segments
    yield b"\x00\x00\x00\x00\xff\xff\xff\x1f"       # one segment of 4 GiB
    yield b"\x00\x00\x00\x00\x02\x00\x00\x00" + b"\xff" * 16  # a message that is no message
    for size in (1, 7, 8, 100, 5000, 70_000):
        yield dice.randbytes(size)


def test_nonsense_ends_only_its_own_connection(cell):
    leader = cell.wait_leader()
    for node in cell.nodes.values():
        for data in nonsense():
            send(node.address, data)
    assert all(node.running for node in cell.nodes.values())
    assert cell.leader() == leader
    assert len(cell.nodes[leader].logged("leading")) == 1
