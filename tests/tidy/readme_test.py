"""README's examples work: its sh, python and cpp blocks run against a cell of this test's own."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from cell import Cell, binary  # noqa: E402

BLOCK = re.compile(r"^```(sh|python|cpp)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [body for kind, body in BLOCK.findall(readme) if kind == language]
    assert found, f"README shows nothing in {language}"
    return found


@pytest.fixture(name="environment", scope="module")
def fixture_environment():
    """What `eval "$(./dev env)"` gives, but for this test's build and cell."""
    build = binary("daemon/holdfastd").parents[1]
    with Cell(nodes=3) as cell:
        cell.wait_leader()
        yield {
            **os.environ,
            "PATH": f"{build}/bindings/cli:{build}/daemon:{os.environ['PATH']}",
            "PYTHONPATH": f"{build}/bindings/python",
            "PKG_CONFIG_PATH": f"{build}/meson-uninstalled",
            "LD_LIBRARY_PATH": f"{build}/bindings/cpp",
            "HOLDFAST_ENDPOINTS": cell.endpoints,
        }


def run(command, environment, directory):
    done = subprocess.run(command, env=environment, cwd=directory, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_shell_example_runs(environment, tmp_path):
    output = run(["bash", "-e", "-c", "\n".join(blocks("sh"))], environment, tmp_path)
    assert re.search(r"I hold billing/ledger, my token is \d+", output)
    assert "month's end" in output, "show tells the reason"
    assert "taken: exit status 1" in output


def test_the_python_example_runs(environment, tmp_path):
    for body in blocks("python"):
        output = run(["/usr/bin/python3", "-c", body], environment, tmp_path)
        assert re.search(r"^token \d+$", output, re.MULTILINE)


def test_the_cpp_example_compiles_with_pkg_config_alone_and_runs(environment, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    compile_line = re.search(r"`(g\+\+ [^`]*first\.cc[^`]*)`", readme)[1]
    for body in blocks("cpp"):
        (tmp_path / "first.cc").write_text(body, encoding="utf-8")
        run(["sh", "-c", compile_line], environment, tmp_path)
        assert re.search(r"^token \d+$", run(["./a.out"], environment, tmp_path), re.MULTILINE)


def test_the_commands_of_the_first_screen_exist():
    assert shutil.which(str(ROOT / "dev"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    usage = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True,
                           check=True).stdout
    for verb in re.findall(r"\./dev (\w+)", readme):
        assert verb == "help" or re.search(rf"^  {verb}\b", usage, re.MULTILINE), verb
