"""The manual pages and --help tell of the same options, verbs and settings."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from cell import binary  # noqa: E402

LONG_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")
def text_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return re.sub(r".\x08", "", done.stdout)  # without overstrikes


def verbs_below(*above):
    help_text = text_of(str(binary("bindings/cli/lockctl")), *above, "--help")
    listed = help_text.partition("Subcommands:")[2].partition("xample")[0]
    found = []
    for name in re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE):
        found += [(*above, name), *verbs_below(*above, name)]
    return found


def page(name):
    return text_of("mandoc", "-T", "utf8", "-O", "width=200", str(ROOT / "man" / name))


VERBS = verbs_below()


def options_of(text):
    # What follows a bare -- in an example is another program's.
    return set(LONG_OPTION.findall(re.sub(r" -- .*", "", text)))


def options_on(manual, other):
    """Those that the page tells of, without how the other program is called in its examples."""
    return options_of(re.sub(other + r"( --[a-z-]+ [^ ]+)+", "", page(manual)))


def test_lockctl_has_the_options_that_its_page_names_and_no_others():
    lockctl = str(binary("bindings/cli/lockctl"))
    told = options_of(text_of(lockctl, "--help"))
    for verb in VERBS:
        told |= options_of(text_of(lockctl, *verb, "--help"))
    assert told == options_on("lockctl.1", "holdfastd")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_help_of_each_verb_has_an_example(verb):
    lockctl = str(binary("bindings/cli/lockctl"))
    text = text_of(lockctl, *verb, "--help")
    assert re.search("lockctl (-o json )?" + " ".join(verb), text.split("xample", 1)[-1])


def test_holdfastd_has_the_options_that_its_page_names_and_no_others():
    told = options_of(text_of(str(binary("daemon/holdfastd")), "--help"))
    assert told - {"help"} == options_on("holdfastd.8", "lockctl") - {"help"}


def test_every_setting_of_holdfastd_is_a_key_of_its_configuration_file():
    told = options_of(text_of(str(binary("daemon/holdfastd")), "--help"))
    keys = set(re.findall(r"^ +([a-z-]+) = ", page("holdfastd.toml.5"), re.MULTILINE))
    assert keys == told - {"help", "version", "check-config", "config", "force-new-cell"}
