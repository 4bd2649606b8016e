"""`python -m mcsdr`, which torchrun needs."""

from mcsdr.cli import main

main()
