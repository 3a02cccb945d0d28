"""Work that goes on beside the keys, begun in one way."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from textual.dom import DOMNode
from textual.worker import Worker


def begin(
    node: DOMNode, work: Callable[[], Coroutine[None, None, None]], group: str = "default", exclusive: bool = False
) -> None:
    """Start a worker of a node; `exclusive` calls off those of its group before it.

    `work` is an `async def`, or a `partial` of one; Textual would not see that anything else gives a coroutine. This is
    made when it starts. One made before, whose worker is called off first, Python tells on stderr: the user's terminal,
    when the screen is gone.
    """
    _: Worker[None] = node.run_worker(work, group=group, exclusive=exclusive)
