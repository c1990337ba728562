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
VERBS = [("run",), ("acquire",), ("release",), ("try",), ("held",), ("ls",), ("show",),
         ("lease", "open"), ("lease", "renew"), ("lease", "close"), ("lease", "ls"),
         ("lease", "show"), ("status",), ("members",), ("member", "add"),
         ("member", "promote"), ("member", "remove"), ("member", "replace"), ("member", "update"),
         ("leader",), ("leader", "transfer"), ("bench",), ("completion",)]


def text_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return re.sub(r".\x08", "", done.stdout)  # without overstrikes


def page(name):
    return text_of("mandoc", "-T", "utf8", "-O", "width=200", str(ROOT / "man" / name))


def options_of(text):
    # What follows a bare -- in an example is another program's; and so is how a daemon is started.
    return set(LONG_OPTION.findall(re.sub(r"( -- |\$ holdfastd ).*", "", text)))


def test_lockctl_has_the_options_that_its_page_names_and_no_others():
    lockctl = str(binary("bindings/cli/lockctl"))
    told = options_of(text_of(lockctl, "--help"))
    for verb in VERBS:
        told |= options_of(text_of(lockctl, *verb, "--help"))
    assert told == options_of(page("lockctl.1"))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_help_of_each_verb_has_an_example(verb):
    lockctl = str(binary("bindings/cli/lockctl"))
    text = text_of(lockctl, *verb, "--help")
    assert "lockctl " + " ".join(verb) in text.split("xample", 1)[-1]


def test_holdfastd_has_the_options_that_its_page_names_and_no_others():
    told = options_of(text_of(str(binary("daemon/holdfastd")), "--help"))
    assert told - {"help"} == options_of(page("holdfastd.8")) - {"help"}


def test_every_setting_of_holdfastd_is_a_key_of_its_configuration_file():
    told = options_of(text_of(str(binary("daemon/holdfastd")), "--help"))
    keys = set(re.findall(r"^ +([a-z-]+) = ", page("holdfastd.toml.5"), re.MULTILINE))
    assert keys == told - {"help", "version", "check-config", "config"}
