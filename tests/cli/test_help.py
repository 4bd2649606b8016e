"""What `mcsdr --help` and every command's help promise: their order, and examples that can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mcsdr.cli import COMMANDS, app
from mcsdr.cli.benchmark import EXAMPLES

HEAVY = ("torch", "numpy", "av", "pydicom", "pydantic", "matplotlib")


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    app([*words, "--help"], result_action="return_value")
    return capsys.readouterr().out


def names() -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in app if not name.startswith("-"))
    yield from (("benchmark", command.__name__) for command in EXAMPLES)


def test_commands_stand_in_groups_in_the_order_of_their_use(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    titles = [text.index(f"─ {title} ─") for title in (*COMMANDS, "About mcsdr")]
    assert titles == sorted(titles)
    read, research = text[titles[0] : titles[1]], text[titles[3] : titles[4]]
    assert re.findall(r"^│ ([a-z-]+)  ", read, re.MULTILINE) == ["predict", "batch", "info"]
    assert "│ import-official " in research
    assert "│ predict " not in research
    assert sum(map(len, COMMANDS.values())) == len([name for name in app if not name.startswith("-")])


def test_the_help_of_batch_names_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    from mcsdr.prediction.batch import HEADER

    words = {word.strip(".,()") for word in shown(capsys, "batch").split()}
    ranges = ("q0.", "P(EF")  # of these the first and the last are named
    assert [name for name in HEADER if not name.startswith(ranges) and name not in words] == []
    assert {"q0.025", "q0.975", "P(EF<=30", "P(EF<54"} <= words


@pytest.mark.parametrize("command", list(names()), ids=" ".join)
def test_every_help_ends_with_an_example_that_the_command_takes(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    last = shown(capsys, *command).rstrip().splitlines()[-1]
    assert last.startswith(f"Example: mcsdr {' '.join(command)} "), last
    asked = app.parse_args(shlex.split(last.removeprefix("Example: mcsdr ")), print_error=False, exit_on_error=False)[0]
    assert asked.__name__.replace("_", "-") == (command[-1] if command != ("benchmark",) else "posterior")


def test_a_command_says_all_that_its_documentation_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the exit status is 1 if any failed" in " ".join(shown(capsys, "predict").split())


@pytest.mark.parametrize(
    "words", ["import mcsdr", "from mcsdr.cli import app; app(['--help'], result_action='return_value')"]
)
def test_nothing_slow_is_imported(words: str) -> None:
    source = f"import sys; {words}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
