"""`mcsdr serve` and `mcsdr node` as a user types them: what is refused before anything listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcsdr.cli.node import node
from mcsdr.cli.serve import serve
from mcsdr.errors import InvalidConfig, MissingFile


def test_another_address_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="others could reach"):
        serve(host="0.0.0.0")
    with pytest.raises(MissingFile):
        serve(host="0.0.0.0", token_file=tmp_path / "none")
    short = tmp_path / "token"
    short.write_text("short\n")
    with pytest.raises(InvalidConfig, match="shorter than 16"):
        serve(host="0.0.0.0", token_file=short)


def test_an_address_that_is_no_name_needs_one(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-long-secret-token\n")
    for host in ("0.0.0.0", "::"):
        with pytest.raises(InvalidConfig, match="every address of this machine"):
            serve(host=host, token_file=token)
    with pytest.raises(InvalidConfig, match="no name of a host"):
        serve(name=["http://echo.example.org/"])


def test_an_archive_needs_a_folder_and_a_form(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="a folder to wait in"):
        serve(archive="A@localhost:104")
    with pytest.raises(InvalidConfig, match="no archive"):
        node(tmp_path / "node", archive="localhost")
    assert not (tmp_path / "node").exists()
