"""What the pages tell people to type: commands and options that exist, links that lead somewhere, code that runs."""

from __future__ import annotations

import ast
import importlib
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from mcsdr.cli import app
from mcsdr.nn.layers import Condition
from mcsdr.report.terminal import print_results

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
GROUPS = ("benchmark",)  # commands that have commands of their own


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def typed(page: Path) -> list[str]:
    """Every `mcsdr …` that a page tells people to type, in blocks and within sentences, joined to one line each."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(mcsdr [^`]*)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    commands = [line.split("#")[0].strip() for line in lines] + [" ".join(one.split()) for one in inline]
    return [command for command in commands if command.startswith("mcsdr ") and re.match(r"mcsdr [a-z]", command)]


@cache
def help_of(*command: str) -> str:
    page = io.StringIO()
    app.help_print(list(command), console=Console(file=page, width=200))
    return page.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_options_exist(name: str) -> None:
    for command in typed(ROOT / name):
        words = command.split()[1:]
        if words[0] in GROUPS and len(words) > 1 and words[1].isalpha() and words[1].islower():
            assert f" {words[1]} " in help_of(words[0]), command
            known = help_of(*words[:2])
        else:
            assert f" {words[0]} " in help_of(), command
            known = help_of(words[0])
        for option in re.findall(r"(?<=\s)--[a-z][a-z.-]*", command):
            assert "." in option or option in ("--help", "--version") or f"{option} " in known, command


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("name", NAMES)
def test_python_is_python_and_what_it_imports_is_there(name: str) -> None:
    for block in blocks(ROOT / name, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mcsdr"):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), node.module


def test_getting_started_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """All blocks of the page one after the other, as they are copied and pasted; the answer is the one shown there."""
    page = ROOT / "docs/getting-started.md"
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, "getting-started.md", "exec"), names)
    shown = capsys.readouterr().out.splitlines()
    words = io.StringIO()
    print_results(Console(file=words, width=80), [names["answer"]])
    example = page.read_text().partition("```\n  The median")[2].partition("```")[0]
    figures = r"\d+|█+"  # another processor may round one of them the other way
    printed = {re.sub(figures, "", line).strip(): line for line in words.getvalue().splitlines()}
    assert example
    for line in f"The median{example}".replace("…", "").splitlines():
        there = re.findall(r"\d+", printed[re.sub(figures, "", line).strip()])
        assert [int(n) for n in there] == pytest.approx([int(n) for n in re.findall(r"\d+", line)], abs=1), line
    assert shown[0] == "None"  # it answers
    medians = [float(word) for word in shown[-1].split()]
    assert len(medians) == 3
    assert all(0 < median < 100 for median in medians)


def test_the_head_that_the_page_shows_learns_its_distribution() -> None:
    (block,) = (code for code in blocks(ROOT / "docs/how-to/extend.md", "python") if "class Laplace" in code)
    names: dict[str, Any] = {}
    exec(compile(block, "extend.md", "exec"), names)
    torch.manual_seed(0)
    head = names["Laplace"](16, 2)
    condition = Condition(torch.randn(1, 3, 16).expand(200, -1, -1), torch.ones(200, 3, dtype=torch.bool))
    z = torch.tensor([[-1.645, -0.674, 0.0, 0.674, 1.645]])
    level = torch.special.ndtr(z[0])
    spread = (torch.arange(200) + 0.5) / 200
    labels = 100 * torch.sigmoid(torch.distributions.Laplace(0.3, 0.2).icdf(spread))
    optimizer = torch.optim.Adam(head.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(condition, labels, None).backward()
        optimizer.step()
    exact = 100 * torch.sigmoid(torch.distributions.Laplace(0.3, 0.2).icdf(level))
    assert (head.quantiles(condition, z)[0] - exact).abs().max() < 0.5  # EF points


def test_the_readme_is_one_look() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900
