"""Reading a stranger's bytes in child processes, so that whatever they do to their parser, who asked lives on.

    who asked ──what to do──> warm process ──fork──> child, of limited memory and time    (warm.py, child.py)
    who asked <──lines of JSON, plain arrays, frames one by one── child                   (wire.py)

Everything that answers files reads them here: the service, the node, `predict` and `batch`. A new kind of work is one
function in child.py and one method of `Reader`.
"""

from mcsdr.io.sandbox.reader import Header, Part, Read, Reader, can_fork, read_apart, shared
from mcsdr.io.sandbox.warm import Request

__all__ = ["Header", "Part", "Read", "Reader", "Request", "can_fork", "read_apart", "shared"]
