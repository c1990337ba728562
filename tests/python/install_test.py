"""What `meson install` puts where, and that it works from there."""

import os
import re
import shutil
import subprocess

import pytest

from cell import binary

BUILD = binary("bindings/python/holdfast/__init__.py").parents[3]
PYTHON = "/usr/bin/python3"


def run(*command, **env):
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True,
                          timeout=100, check=True).stdout


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    run(shutil.which("meson"), "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(root))
    return root


def installed(root, name):
    (found,) = root.rglob(name)
    return found


def test_the_package_lies_where_python_looks(root):
    package = installed(root, "holdfast/__init__.py").parent
    where = "/" + str(package.parent.relative_to(root))
    assert where in run(PYTHON, "-I", "-c", "import sys; print(*sys.path, sep='\\n')").split()
    in_the_tree = {path.name for path in (BUILD / "bindings/python/holdfast").iterdir()
                   if path.is_file()}
    assert {path.name for path in package.iterdir()} == in_the_tree >= {"py.typed", "_holdfast.pyi"}


def test_the_installed_package_works(root):
    package = installed(root, "holdfast/__init__.py").parents[1]
    library = installed(root, "libholdfast.so.0").parent
    program = "import holdfast; print(holdfast.__file__, holdfast.__version__)"
    file, version = run(PYTHON, "-B", "-c", program, PYTHONPATH=str(package),
                        LD_LIBRARY_PATH=str(library)).split()
    assert file == str(package / "holdfast" / "__init__.py") and version


def test_the_extension_finds_the_library_and_shows_only_its_entry(root):
    extension = installed(root, "_holdfast.*.so")
    library = "/" + str(installed(root, "libholdfast.so.0").parent.relative_to(root))
    assert f"[{library}]" in run("readelf", "-d", str(extension))
    shown = [line.split()[-1] for line in
             run("nm", "-D", "--defined-only", str(extension)).splitlines()]
    assert [name for name in shown if not name.startswith("_Z")] == ["PyInit__holdfast"]
    assert not [name for name in shown if "holdfast6python" in name]
    # In the build tree it finds the build's.
    built = BUILD / "bindings/python/holdfast" / extension.name
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    found = subprocess.run(["ldd", str(built)], env=environment, capture_output=True, text=True,
                           check=True).stdout
    (path,) = re.findall(r"libholdfast\.so\.0 => (\S+)", found)
    assert os.path.samefile(path, BUILD / "bindings/cpp/libholdfast.so.0")
