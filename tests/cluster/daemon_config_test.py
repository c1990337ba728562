"""Flags, environment and file: what beats what, and what is said about mistakes."""

import os
import subprocess
import tomllib

import pytest

from cell import binary

USAGE, CONFIGURATION = 2, 78


def holdfastd(*args, **env):
    """Runs holdfastd, which is to end by itself."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith(("HOLDFASTD_", "XDG_", "RUNTIME_DIRECTORY"))}
    return subprocess.run([str(binary("daemon/holdfastd")), *args], env={**clean, **env},
                          capture_output=True, text=True, timeout=10, check=False)


def effective(*args, **env):
    """The configuration in effect, read back from --check-config."""
    done = holdfastd("--check-config", *args, **env)
    assert done.returncode == 0, done.stderr
    return tomllib.loads(done.stdout)


@pytest.fixture
def config_file(tmp_path):
    def write(text):
        path = tmp_path / "holdfastd.toml"
        path.write_text(text)
        return str(path)
    return write


def test_a_flag_beats_the_environment_which_beats_the_file(config_file):
    path = config_file('name = "file"\nheartbeat = "20ms"\nlog-level = "warn"\n')
    got = effective("--config", path, "--name", "flag",
                    HOLDFASTD_NAME="environment", HOLDFASTD_HEARTBEAT="30ms")
    assert (got["name"], got["heartbeat"], got["log-level"]) == ("flag", "30ms", "warn")


def test_what_check_config_prints_is_a_file_with_the_same_effect(config_file):
    args = ["--id", "2", "--cluster", "1=a:7420,2=b:7420,3=[::1]:7420", "--name", 'a "b" \\ c',
            "--listen", "0.0.0.0:7420", "--listen", "unix:/tmp/x.sock", "--election", "1.5s"]
    printed = holdfastd("--check-config", *args).stdout
    assert holdfastd("--check-config", "--config", config_file(printed)).stdout == printed
    got = tomllib.loads(printed)
    assert got["listen"] == ["0.0.0.0:7420", "unix:/tmp/x.sock"]
    assert got["cluster"] == ["1=a:7420", "2=b:7420", "3=[::1]:7420"]
    assert got["advertise"] == "b:7420"
    assert got["election"] == "1500ms"


def test_the_environment_can_name_the_file(config_file):
    assert effective(HOLDFASTD_CONFIG=config_file("id = 7\n"))["id"] == 7


def test_an_empty_variable_counts_as_not_set():
    assert effective(HOLDFASTD_NAME="")["name"] == "node-1"


def test_lists_may_be_one_string_with_commas(config_file):
    got = effective("--config", config_file('listen = "127.0.0.1:1, 127.0.0.1:2"\n'))
    assert got["listen"] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert effective(HOLDFASTD_LISTEN="h:1,unix:/x")["listen"] == ["h:1", "unix:/x"]


def test_an_empty_text_is_no_list():
    # It was taken for a list without elements: a daemon that listens nowhere, and says so nowhere.
    done = holdfastd("--check-config", "--listen", "")
    assert done.returncode == USAGE
    assert '--listen: "" is not an address' in done.stderr


def test_a_value_that_is_not_utf8_is_refused():
    # --check-config printed another path than the one in effect, and took it from the file.
    done = holdfastd("--check-config", "--listen", "unix:/tmp/\udcff")
    assert done.returncode == USAGE
    assert "--listen: is not valid UTF-8" in done.stderr


def test_without_arguments_it_is_a_cell_of_one_on_a_socket_and_loopback():
    got = effective(XDG_RUNTIME_DIR="/xdg", XDG_STATE_HOME="/state", HOME="/home/x")
    root = os.geteuid() == 0
    socket = "/run/holdfast/holdfast.sock" if root else "/xdg/holdfast/holdfast.sock"
    assert got["listen"] == ["unix:" + socket, "127.0.0.1:7420"]
    assert got["data-dir"] == ("/var/lib/holdfast" if root else "/state/holdfast")
    assert got["cluster"] == ["1=127.0.0.1:7420"]
    assert (got["heartbeat"], got["election"], got["busy-poll"]) == ("50ms", "500ms", "1ms")


def test_the_socket_is_in_the_directory_that_systemd_made():
    got = effective(RUNTIME_DIRECTORY="/run/holdfast-a:/run/other")
    assert got["listen"][0] == "unix:/run/holdfast-a/holdfast.sock"


def test_a_member_listens_on_its_own_address_only():
    got = effective("--id", "3", "--cluster", "1=a:1,2=b:2,3=c:3")
    assert got["listen"] == ["c:3"] and got["advertise"] == "c:3"


@pytest.mark.parametrize("args, said", [
    (["--lisen", "x"], "did you mean --listen?"),
    (["--join", "a"], "--join: "),
    (["--http", "a:1"], "unknown flag --http"),
    (["serve"], "'serve'"),
    (["--id"], "--id"),
    (["--id", "1", "--id", "2"], "--id"),
    (["--id", "zero"], "--id: 'zero'"),
    (["--id", "0"], "--id: '0'"),
    (["--id", "9223372036854775808"], "--id: '9223372036854775808'"),
    (["--cluster", "18446744073709551615=a:1"], "'18446744073709551615=a:1'"),
    (["--cluster", "1=a:0"], "--cluster: "),
    (["--advertise", "a:0"], "--advertise: "),
    (["--listen", "127.0.0.1:0"], "--listen: "),
    (["--listen", "here"], "--listen: "),
    (["--listen", "127.0.0.1:99999"], "99999"),
    (["--listen", "unix:"], "--listen: "),
    (["--listen", "unix:/" + "x" * 200], "--listen: "),
    (["--advertise", "0.0.0.0:7420"], "--advertise: "),
    (["--heartbeat", "50x"], "--heartbeat: '50x'"),
    (["--election", "soon"], "--election: 'soon'"),
    (["--busy-poll", "11ms"], "from 0ms to 10ms"),
    (["--log-level", "loud"], "trace, debug, info, warn, error"),
    (["--log-format", "xml"], "text, json"),
    (["--cluster", "1=a:1,b:2,3=c:3"], "'b:2'"),
    (["--name", ""], "--name"),
])
def test_a_command_line_that_is_not_understood_is_a_usage_error(args, said):
    done = holdfastd(*args)
    assert done.returncode == USAGE and said in done.stderr and done.stdout == ""


@pytest.mark.parametrize("args, said", [
    (["--cluster", "1=a:1,2=b:2"], "1, 3 or 5"),
    (["--cluster", "1=a:1,2=b:2,3=c:3,4=d:4"], "1, 3 or 5"),
    (["--cluster", ",".join(f"{i}=h:{i}" for i in range(1, 8))], "1, 3 or 5"),
    (["--cluster", "1=a:1,1=b:2,3=c:3"], "node 1 is in the list twice"),
    (["--cluster", "1=a:1,2=a:1,3=c:3"], "a:1 is in the list twice"),
    (["--id", "4", "--cluster", "1=a:1,2=b:2,3=c:3"], "node 4"),
    (["--heartbeat", "200ms"], "800ms"),
    (["--config", "/nonexistent/x.toml"], "/nonexistent/x.toml"),
    (["--config", "/"], "/: can't be read"),
])
def test_what_does_not_fit_together_is_a_configuration_error(args, said):
    done = holdfastd(*args)
    assert done.returncode == CONFIGURATION and said in done.stderr


@pytest.mark.parametrize("text, line, said", [
    ('id = 1\n\ndata_dir = "/x"\n', 3, "did you mean 'data-dir'?"),
    ('nmae = "x"\n', 1, "did you mean 'name'?"),
    ('id = "1"\n', 1, "whole number"),
    ('\nheartbeat = 50\n', 2, "duration in quotes"),
    ('name = 5\n', 1, "string in quotes"),
    ('listen = [1]\n', 1, "list of strings"),
    ('id = 1\nlog-level = "loud"\n', 2, "trace, debug"),
    ('id = 1\n[cluster]\n1 = "a:1"\n', 2, "cluster"),
    ('id = 1\nid = 2\n', 2, "id"),
    ('id = \n', 1, "not valid TOML"),
])
def test_a_mistake_in_the_file_is_told_with_its_line(config_file, text, line, said):
    path = config_file(text)
    done = holdfastd("--config", path)
    assert done.returncode == CONFIGURATION
    assert f"{path}:{line}: " in done.stderr and said in done.stderr


def test_all_mistakes_are_told_at_once(config_file):
    path = config_file('id = "x"\nnmae = "y"\n')
    done = holdfastd("--check-config", "--config", path, "--cluster", "1=a:1,2=b:2",
                     HOLDFASTD_LISTN="z")
    assert done.returncode == CONFIGURATION
    for said in (f"{path}:1:", f"{path}:2:", "HOLDFASTD_LISTN", "HOLDFASTD_LISTEN", "--cluster"):
        assert said in done.stderr


def test_help_and_version_go_to_stdout():
    for flag in ("--help", "-h"):
        done = holdfastd(flag)
        assert done.returncode == 0 and "--data-dir" in done.stdout and done.stderr == ""
        assert "--join" in done.stdout and "--http" not in done.stdout
    done = holdfastd("--version")
    assert done.returncode == 0 and done.stdout.startswith("holdfastd ")
