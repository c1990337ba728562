"""Nonsense typed at every verb, help, completions; a cell that is not there, or has no leader."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from cell import Cell, own_address, wait_for
from proxy import Proxy
from shell import Shell, error_of

USAGE, UNREACHABLE, IO_ERROR, UNANSWERED = 2, 69, 74, 75
VERBS = [["run"], ["acquire"], ["release"], ["try"], ["held"], ["ls"], ["show"], ["lease", "open"],
         ["lease", "renew"], ["lease", "close"], ["lease", "ls"], ["lease", "show"], ["status"],
         ["verify"], ["release-force"], ["drain"], ["quota", "set"], ["quota", "rm"],
         ["quota", "ls"], ["key", "get"], ["key", "put"], ["key", "del"], ["key", "ls"], ["txn"],
         ["bench"], ["completion"], ["elect"], ["observe"], ["watch"], ["history"], ["why"],
         ["waits"], ["sql"], ["top"], ["torture"]]
NOT_YET = ["--join", "--http", "--cacert", "--cert", "--key", "--token"]
KNOWN = [(["release"], "--token"), (["release-force"], "--token"), (["key", "put"], "--token")]

# Nobody listens there, so whoever asked the cell would exit with 69, not with 2.
NOBODY = own_address() + ":7440"


@pytest.fixture(scope="module")
def nobody():
    with Shell(NOBODY) as shell:
        yield shell


# -- nonsense --------------------------------------------------------------------------------------

NONSENSE = [
    # typed, what the message says
    ([], "a verb is missing: run acquire release"),
    (["frob"], "unknown verb 'frob'"),
    (["runn", "x", "--", "true"], "did you mean 'run'?"),
    (["help"], "did you mean '--help'?"),
    (["-5"], "unknown option '-5'"),
    (["--", "run"], "a verb is missing"),
    (["--cacert", "x", "ls"], "unknown option '--cacert'"),
    (["--endpoint", "x", "ls"], "did you mean '--endpoints'?"),
    (["--endpoints", "here", "ls"], "'here'"),
    (["--endpoints", "a:b", "ls"], "'a:b'"),
    (["--endpoints", "a:0", "ls"], "'a:0'"),
    (["--endpoints", "a:99999", "ls"], "'a:99999'"),
    (["--endpoints", "unix:", "ls"], "'unix:'"),
    (["--endpoints", "", "ls"], "--endpoints: '' names no address"),
    (["--endpoints", ",", "ls"], "--endpoints: ',' names no address"),
    (["--endpoints"], "--endpoints: its value is missing"),
    (["--timeout", "soon", "ls"], "--timeout: 'soon' is not a duration; write 500ms"),
    (["--timeout", "0", "ls"], "--timeout must be above 0"),
    (["--timeout", "-1", "ls"], "--timeout: '-1' is not a duration"),
    (["--timeout", "1e3", "ls"], "--timeout: '1e3' is not a duration"),
    (["--timeout", "nan", "ls"], "--timeout: 'nan' is not a duration"),
    (["-o", "xml", "ls"], "--output: 'xml' is not one of table, json"),
    (["ls", "-o"], "--output: its value is missing"),
    (["--color", "red", "ls"], "--color: 'red' is not one of auto, always, never"),
    (["run"], "LOCK is required"),
    (["run", "--", "true"], "LOCK is required"),
    (["run", "x"], "what to run is missing: lockctl run LOCK -- CMD"),
    (["run", "x", "--"], "what to run is missing: lockctl run LOCK -- CMD"),
    (["run", "x", "true"], "unexpected 'true'; the command to run stands behind --"),
    (["run", "x", "y", "--", "true"], "unexpected 'y'"),
    (["run", "[x]", "[y,z]", "--", "true"], "unexpected '[y,z]'"),
    (["run", "--tll", "5s", "x", "--", "true"], "did you mean '--ttl'?"),
    (["run", "-n", "-w", "1s", "x", "--", "true"], "--no-wait excludes --wait"),
    (["run", "-w", "x", "--", "true"], "--wait: 'x' is not a duration"),
    (["run", "--ttl", "499ms", "x", "--", "true"], "--ttl must be from 500ms to 24h"),
    (["run", "--ttl", "24.1h", "x", "--", "true"], "--ttl must be from 500ms to 24h"),
    (["run", "-E", "256", "x", "--", "true"], "--not-acquired: '256' is not a whole number"),
    (["run", "-E", "-1", "x", "--", "true"], "--not-acquired: '-1' is not a whole number"),
    (["run", "--kill-grace", "6s", "x", "--", "true"], "--kill-grace must be at most half"),
    (["run", "--reason", "r" * 1025, "x", "--", "true"], "at most 1024"),
    (["acquire"], "LOCK is required"),
    (["acquire", "x", "y"], "unexpected 'y'"),
    (["acquire", "x", "--lease"], "--lease: its value is missing"),
    (["acquire", "x", "--lease", "xyz"], "'xyz' is not the id of a lease"),
    (["acquire", "x", "--lease", "0"], "'0' is not the id of a lease"),
    (["acquire", "x", "--lease", ""], "'' is not the id of a lease"),
    (["acquire", "x", "--lease", "1", "--ttl", "5s"], "--ttl excludes --lease"),
    (["acquire", "x", "--ttl", "1d"], "--ttl: '1d' is not a duration"),
    (["acquire", "x", "-E", "3"], "unknown option '-E'"),
    (["release", "x"], "--lease is required"),
    (["release", "x", "--lease", "1"], "--token is required"),
    (["release", "--lease", "1", "--token", "1"], "LOCK is required"),
    (["release", "x", "--lease", "1", "--token", "0"], "--token: '0' is not a whole number"),
    (["release", "x", "--lease", "1", "--token", "1.5"], "--token: '1.5' is not a whole number"),
    (["release", "x", "--lease", "1", "--token", str(2**64)], "is not a whole number from 1 to"),
    (["release", "x", "--lease", "zz", "--token", "1"], "'zz' is not the id of a lease"),
    (["try"], "LOCK is required"),
    (["try", "x", "y"], "unexpected 'y'"),
    (["held", "-s", "x"], "unknown option '-s'"),
    (["ls", "a", "b"], "unexpected 'b'"),
    (["ls", "p" * 513], "at most 512"),
    (["show"], "LOCK is required"),
    (["lease"], "a verb is missing: open renew close ls show"),
    (["lease", "opne"], "unknown verb 'opne'; did you mean 'open'?"),
    (["lease", "--frob", "ls"], "unknown option '--frob'"),
    (["lease", "open", "x"], "unexpected 'x'"),
    (["lease", "open", "--ttl", "0"], "--ttl must be from 500ms to 24h"),
    (["lease", "open", "--ttl", "99999h"], "--ttl: '99999h' is not a duration"),
    (["lease", "renew"], "ID is required"),
    (["lease", "renew", "xyz"], "'xyz' is not the id of a lease"),
    (["lease", "renew", "1", "--every", "0"], "--every must be above 0"),
    (["lease", "renew", "1", "--every", "often"], "--every: 'often' is not a duration"),
    (["lease", "close", "1", "2"], "unexpected '2'"),
    (["lease", "ls", "x"], "unexpected 'x'"),
    (["lease", "show", "0x12"], "'0x12' is not the id of a lease"),
    (["status", "x"], "unexpected 'x'"),
    (["bench", "--workload", "everything"], "is not one of pairs, handoff, renew"),
    (["bench", "--clients", "0"], "--clients: '0' is not a whole number from 1 to"),
    (["bench", "--connections", "many"], "--connections: 'many' is not a whole number"),
    (["bench", "--locks", ""], "--locks: '' is not a whole number"),
    (["bench", "--batch"], "--batch goes with renew"),
    (["bench", "--duration", "0"], "--duration must be above 0"),
    (["completion"], "SHELL is required"),
    (["completion", "ksh"], "'ksh' is not one of bash, zsh, fish"),
]


@pytest.mark.parametrize("typed, said", NONSENSE, ids=lambda value: str(value)[:60])
def test_nonsense_is_told_as_such(nobody, typed, said):
    done = nobody.run(*typed)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert said in done.stderr and done.stderr.startswith("lockctl: ")
    assert done.stderr.count("\n") == 1
    if "-o" in typed:
        return  # the last one counts
    in_json = nobody.run(*typed, env={"HOLDFAST_OUTPUT": "json"})
    assert (in_json.returncode, in_json.stdout) == (USAGE, "")
    error = error_of(in_json)
    assert error["code"] == "invalidArgument" and said in error["message"]


@pytest.mark.parametrize("name, said", [
    ("", "the name is empty"),
    ("a//b", "an empty path part"),
    ("/a", "an empty path part"),
    ("a/", "an empty path part"),
    ("a\nb", "a control character"),
    ("a\x7fb", "a control character"),
    ("a\u0085b", "a control character"),
    (b"a\xffb", "not valid UTF-8"),
    ("ü" * 257, "514 bytes; at most 512"),
])
@pytest.mark.parametrize("verb", ["run", "acquire", "release", "try", "held", "show"])
def test_a_name_that_is_out_of_range_is_told_before_the_cell_is_asked(nobody, verb, name, said):
    more = {"run": ["--", "true"], "release": ["--lease", "1", "--token", "1"]}.get(verb, [])
    raw = name if isinstance(name, bytes) else name.encode()
    done = subprocess.run([*map(os.fsencode, nobody.command(verb)), raw, *map(str.encode, more)],
                          capture_output=True, env=nobody.env, check=False, timeout=10)
    assert done.returncode == USAGE and said in done.stderr.decode()


@pytest.mark.parametrize("verb", [[], ["lease"], *VERBS], ids=" ".join)
def test_what_is_not_there_yet_is_unknown(nobody, verb):
    unknown = [flag for flag in NOT_YET if (verb, flag) not in KNOWN]
    for flag in unknown:
        done = nobody.run(*verb, flag, "x", *(["--", "true"] if verb == ["run"] else []))
        assert done.returncode == USAGE and f"'{flag}'" in done.stderr
    listed = re.findall(r"^  (-\S+)", nobody.run(*verb, "--help").stdout, re.MULTILINE)
    assert listed and not set(unknown) & set(",".join(listed).split(","))


def test_a_bad_environment_is_told_with_its_name(nobody):
    done = nobody.run("ls", env={"HOLDFAST_OUTPUT": "xml"})
    assert done.returncode == USAGE and "HOLDFAST_OUTPUT: 'xml'" in done.stderr
    done = nobody.run("ls", env={"HOLDFAST_ENDPOINTS": "here"})
    assert done.returncode == USAGE and "'here'" in done.stderr


def test_errors_reach_a_terminal_without_control_characters(nobody):
    done = nobody.run("\x1b[31mfrob\x07")
    assert done.returncode == USAGE and "'?[31mfrob?'" in done.stderr


# -- help and completions --------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [[], ["lease"], *VERBS], ids=" ".join)
def test_help_is_there_without_a_cell(nobody, verb):
    for flag in ("--help", "-h"):
        done = nobody.run(*verb, flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert ("Usage: lockctl " + " ".join(verb)).strip() in done.stdout
        assert all(len(line) <= 160 for line in done.stdout.splitlines())


def test_version(nobody):
    done = nobody.run("--version")
    assert done.returncode == 0 and re.fullmatch(r"lockctl \d+\.\d+\.\d+\n", done.stdout)


COMPLETIONS = [
    # typed so far, offered
    ("lockctl ", {"run", "acquire", "lease", "completion", "--endpoints", "--help"}),
    ("lockctl r", {"run", "release"}),
    ("lockctl lease ", {"open", "renew", "close", "ls", "show"}),
    ("lockctl lease o", {"open"}),
    ("lockctl lease renew --e", {"--every"}),
    ("lockctl run --", {"--shared", "--no-wait", "--wait", "--ttl", "--reason", "--not-acquired",
                        "--kill-grace", "--help"}),
    ("lockctl --timeout 5s bench --w", {"--workload", "--warm-up"}),
    ("lockctl -o ", {"table", "json"}),
    ("lockctl bench --workload ", {"pairs", "handoff", "renew"}),
    ("lockctl completion ", {"bash", "zsh", "fish"}),
    ("lockctl run x -- tru", {"true"}),
]


@pytest.mark.parametrize("line, offered", COMPLETIONS, ids=lambda value: str(value)[:40])
def test_bash_completes_verbs_and_flags(nobody, tmp_path, line, offered):
    script = tmp_path / "completion.bash"
    script.write_text(nobody.run("completion", "bash").stdout)
    ask = ('source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 == *" " ]] && COMP_WORDS+=("");'
           'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$2; COMP_POINT=${#2};'
           '_lockctl; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", ask, "bash", str(script), line],
                          capture_output=True, text=True, check=True, timeout=10)
    got = set(done.stdout.split())
    assert offered <= got and done.stderr == ""
    last = line.rsplit(" ", 1)[-1]
    assert all(word.startswith(last) for word in got)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_completion_script_parses_in_its_shell(nobody, tmp_path, name):
    done = nobody.run("completion", name)
    assert done.returncode == 0 and "lease" in done.stdout and "--kill-grace" in done.stdout \
        or "kill-grace" in done.stdout
    script = tmp_path / "script"
    script.write_text(done.stdout)
    subprocess.run([name, "-n", str(script)], check=True, timeout=10)


# -- the global flags ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone():
    """A cell of one, on TCP and on a unix socket."""
    with Cell(nodes=1, start=False) as cell:
        cell.socket = cell.directory / "sockets" / "holdfast.sock"
        cell.args += ["--listen", cell.nodes[1].address, "--listen", f"unix:{cell.socket}"]
        cell.start()
        cell.wait_leader()
        yield cell


def test_flags_beat_the_environment(alone):
    with Shell(NOBODY) as shell:
        assert shell.code("--endpoints", alone.endpoints, "ls") == 0
        assert shell.code("ls", "--endpoints", f"unix:{alone.socket}") == 0
        assert shell.code("ls", env={"HOLDFAST_ENDPOINTS": f"unix:{alone.socket}"}) == 0
        # Of several, those that answer are enough.
        assert shell.code("ls", "--endpoints", f"{NOBODY},{alone.endpoints}") == 0


def test_the_form_of_the_output(alone):
    with Shell(alone.endpoints) as shell:
        json.loads(shell.run("status", env={"HOLDFAST_OUTPUT": "json"}).stdout)
        for args in (["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"],
                     ["-qo", "json"], ["-o", "table", "-o", "json"]):
            json.loads(shell.run(*args, "status").stdout)
            json.loads(shell.run("status", *args).stdout)
        for form in ("table", ""):
            assert shell.run("status", env={"HOLDFAST_OUTPUT": form}).stdout.startswith("cell ")
        assert shell.run("status", "-o", "table", env={"HOLDFAST_OUTPUT": "json"}).stdout[:5] == \
            "cell "


def test_colours_are_for_terminals(alone):
    with Shell(alone.endpoints) as shell:
        assert "\x1b" not in shell.run("ls").stdout
        assert "\x1b[1mLOCK" in shell.run("ls", "--color", "always").stdout
        assert "\x1b" not in shell.run("ls", "--color", "never").stdout
        assert "\x1b" not in shell.run("-o", "json", "status", "--color", "always").stdout


def test_verbose_goes_to_stderr(alone):
    with Shell(alone.endpoints) as shell:
        done = shell.run("-v", "run", "v", "--", "echo", "out")
        assert done.stdout == "out\n" and "acquired v, token " in done.stderr
        assert shell.run("-v", "-q", "run", "v", "--", "true").stderr == ""


@pytest.mark.parametrize("args", [["ls"], ["-o", "json", "status"], ["--help"], ["--version"],
                                  ["completion", "bash"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_an_error(alone, args):
    with Shell(alone.endpoints) as shell, open("/dev/full", "w") as full:
        running = shell.start(*args, stdout=full, stderr=subprocess.PIPE)
        assert running.wait(10) == IO_ERROR
        assert "No space left" in running.stderr.read()


def test_a_reader_who_has_seen_enough_is_no_error(alone):
    """`lockctl ... | head`: it ends as others do, by SIGPIPE and without a word."""
    with Shell(alone.endpoints) as shell:
        read, write = os.pipe()
        os.close(read)
        running = shell.start("status", stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert running.wait(10) == -signal.SIGPIPE and running.stderr.read() == ""


def test_results_have_somewhere_to_go_or_fail(alone):
    """A descriptor 1 that is closed must not become the connection's."""
    with Shell(alone.endpoints) as shell:
        line = " ".join(shell.command("ls")) + " >&-"
        done = subprocess.run(["sh", "-c", line], env=shell.env, capture_output=True, timeout=10,
                              check=False)
        assert done.returncode == IO_ERROR


# -- a cell that doesn't answer --------------------------------------------------------------------

ASKING = [
    ["run", "x", "--", "true"], ["run", "-n", "x", "--", "true"],
    ["run", "-E", "5", "-w", "1s", "x", "--", "true"], ["acquire", "x"], ["acquire", "-n", "x"],
    ["acquire", "x", "--lease", "1"], ["acquire", "-w", "300ms", "x", "--lease", "1"],
    ["release", "x", "--lease", "1", "--token", "1"], ["try", "x"], ["held", "x"], ["ls"],
    ["show", "x"], ["lease", "open"], ["lease", "renew", "1"], ["lease", "close", "1"],
    ["lease", "ls"], ["lease", "show", "1"], ["status"], ["bench", "--duration", "1s"],
]


def check_nobody_answers(shell, seconds=0.5):
    """All verbs at once: each exits 69, not before --timeout and not much later."""
    started = time.monotonic()
    running = [shell.start("--timeout", f"{seconds}s", "-o", "json", *args, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE) for args in ASKING]
    for args, process in zip(ASKING, running):
        out, err = process.communicate(timeout=20)
        spent = time.monotonic() - started
        assert process.returncode == UNREACHABLE, (args, err)
        assert json.loads(err)["error"]["code"] == "unavailable", args
        assert out == "" or args == ["status"]
        if args != ["acquire", "-w", "300ms", "x", "--lease", "1"] and args != ["status"]:
            assert spent >= seconds, args
        assert spent < 10, args


def test_an_unreachable_cell_is_said_to_be_so():
    with Shell(NOBODY) as shell:
        check_nobody_answers(shell)
        done = shell.run("--timeout", "200ms", "ls")
        assert done.returncode == UNREACHABLE
        assert NOBODY in done.stderr and "refused" in done.stderr
        done = shell.run("--timeout", "200ms", "--endpoints", "nohost.invalid:1", "ls")
        assert done.returncode == UNREACHABLE and "nohost.invalid" in done.stderr


def test_a_cell_without_a_majority_is_said_to_have_no_leader():
    with Cell(nodes=3) as cell, Shell(cell.endpoints) as shell:
        leader = cell.wait_leader()
        opened = shell.object("lease", "open", "--ttl", "1m")["lease"]
        for node in cell.nodes:
            if node != leader:
                cell.kill(node)
        wait_for(lambda: cell.leader() is None, "the leader notices that it is alone")
        check_nobody_answers(shell)
        done = shell.run("--timeout", "200ms", "lease", "renew", opened)
        assert done.returncode == UNREACHABLE
        assert f"{cell.nodes[leader].address}: knows no active leader" in done.stderr
        # What can be said of the nodes is said all the same.
        done = shell.run("-o", "json", "--timeout", "1s", "status")
        assert done.returncode == UNREACHABLE
        status = json.loads(done.stdout)
        assert status["leader"] == 0
        assert sorted(node["role"] for node in status["nodes"])[1:] == ["unreachable"] * 2


@pytest.mark.parametrize("verb", [["ls"], ["lease", "renew"], ["lease", "close"]], ids=" ".join)
def test_a_leader_that_was_reached_and_does_not_answer_is_told_apart(alone, verb):
    """The line is cut after so many answers: before the leader is known, then, later, too late."""
    codes = []
    with Shell(alone.endpoints) as near:
        while len(codes) < 10 and 0 not in codes:
            lease = near.object("lease", "open", "--ttl", "10s")["lease"]
            with Proxy(alone.endpoints, answers=len(codes)) as proxy, Shell(proxy.address) as far:
                done = far.run("-o", "json", "--timeout", "300ms", *verb,
                               *([lease] if verb[0] == "lease" else []))
            codes.append(done.returncode)
            if done.returncode == UNANSWERED:
                error = error_of(done)
                assert error["leader"] == proxy.address and error["leader"] in error["message"]
                assert error["code"] == ("unavailable" if verb[-1] == "close" else "timeout")
    assert codes == sorted(codes[:-1]) + [0] and set(codes) == {UNREACHABLE, UNANSWERED, 0}


def test_a_leader_that_stops_is_told_apart_too():
    """Nothing else can take over from a node that is alone."""
    with Cell(nodes=1) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        lease = shell.object("lease", "open", "--ttl", "1m")["lease"]
        renewing = shell.start("-o", "json", "--timeout", "300ms", "lease", "renew", lease,
                               "--every", "20ms", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert json.loads(renewing.stdout.readline())["lease"] == lease
        cell.pause(1)
        error = json.loads(renewing.stderr.readline())["error"]
        assert error["code"] == "timeout" and error["leader"] == cell.nodes[1].address
        assert renewing.poll() is None  # it goes on trying
        cell.resume(1)
        wait_for(lambda: json.loads(renewing.stdout.readline())["lease"] == lease, "renewed again")
