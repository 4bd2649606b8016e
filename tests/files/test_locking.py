"""One writer at a time: a second is told who holds the output, and a killed one holds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcsdr.errors import OutputInUse, UnwritableFile
from mcsdr.files import locked_folder, locked_table

HOLD = """
import sys, time
from pathlib import Path
from mcsdr.files import locked_folder, locked_table
with locked_folder(Path(sys.argv[1]), "mcsdr batch"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_folder_until_that_one_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(OutputInUse) as refused, locked_folder(folder, "mcsdr train"):
            pass
        assert f"mcsdr batch (process {other.pid} on " in refused.value.cause
        assert refused.value.path == str(folder)
        other.kill()
        other.wait()
    assert (folder / ".lock").exists()  # left behind, and held by nobody
    with locked_folder(folder, "mcsdr train"):
        assert json.loads((folder / ".lock").read_text())["pid"] == os.getpid()
    assert not list(folder.iterdir())


def test_two_parts_of_one_process_exclude_each_other_and_tables_lock_beside_themselves(tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    with locked_table(table, "one"):
        assert [file.name for file in tmp_path.iterdir()] == [".answers.csv.lock"]
        with pytest.raises(OutputInUse, match="one"), locked_table(table, "two"):
            pass
        with locked_table(tmp_path / "others.csv", "two"):
            pass
    with locked_table(table, "two"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_forked_process_does_not_keep_the_lock_of_one_that_has_ended(tmp_path: Path) -> None:
    fork = HOLD.replace(
        'print("held", flush=True)', 'import os\n    if os.fork():\n        os._exit(0)\n    print("held", flush=True)'
    )
    with subprocess.Popen([sys.executable, "-c", fork, tmp_path], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"held\n"  # of the child, which lives on
        parent.wait()
        with locked_folder(tmp_path, "mcsdr train"):
            pass


def test_a_lock_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableFile), locked_folder(tmp_path / "file" / "run", "mcsdr train"):
        pass
