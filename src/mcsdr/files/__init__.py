"""What the operating system is asked for: files written in one piece or not at all, and pools of processes.

`writing` holds atomic writes, tables and hashes; `locking` the lock on an output; `workers` the one kind of process
pool; `shipped` finds the models and experiments that come with the package. Whatever writes a file uses
`write_atomically`, so that a killed run leaves the old file or the new one; whatever writes to a folder or table for
long holds it by `locked_folder` or `locked_table`, so that two runs never mix.
"""

from mcsdr.files.locking import locked_folder, locked_table
from mcsdr.files.writing import csv_bytes, sha256_of, write_atomically, write_table

__all__ = ["csv_bytes", "locked_folder", "locked_table", "sha256_of", "write_atomically", "write_table"]
