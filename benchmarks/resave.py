"""Write saved models anew as this version saves them: the same weights, and a description with its digest.

    python benchmarks/resave.py src/mcsdr/pretrained/* candidates/phantom-*

For models of a format without a digest. Each is loaded, and so checked, before it is written over.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mcsdr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    for folder in parser.parse_args().folders:
        mcsdr.load(folder).save(folder)
        print(f"{folder}: {mcsdr.load(folder).sha256}")


if __name__ == "__main__":
    main()
