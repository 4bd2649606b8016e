"""What answers from outside: the HTTP service with its page, and the DICOM node. Nothing imports from here.

>>> from mcsdr.serve import create_app
>>> app = create_app()              # ASGI; `uvicorn.run(app, host="127.0.0.1", port=8765)`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcsdr.serve.app import create_app as create_app


def __getattr__(name: str) -> Any:
    """`create_app`, imported when it is asked for: the node needs no server."""
    if name == "create_app":
        from mcsdr.serve.app import create_app

        return create_app
    raise AttributeError(name)
