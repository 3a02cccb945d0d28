"""The movement keys, for whatever has lines to move over."""

from __future__ import annotations

from textual.widget import Widget

FAR = 1 << 62
"""More rows than anything has: the first or the last."""


class Movement:
    """Turns the movement actions into `move_rows`; a pane adds how far a page is and what a row is."""

    def move_rows(self, rows: int) -> None:
        """Move down by so many rows, up if negative, as far as there are any."""
        raise NotImplementedError

    def page_rows(self) -> int:
        """How many rows are in sight."""
        raise NotImplementedError

    def action_down(self) -> None:
        self.move_rows(1)

    def action_up(self) -> None:
        self.move_rows(-1)

    def action_top(self) -> None:
        self.move_rows(-FAR)

    def action_bottom(self) -> None:
        self.move_rows(FAR)

    def action_half_down(self) -> None:
        self.move_rows(max(self.page_rows() // 2, 1))

    def action_half_up(self) -> None:
        self.move_rows(-max(self.page_rows() // 2, 1))

    def action_page_down(self) -> None:
        self.move_rows(max(self.page_rows() - 1, 1))

    def action_page_up(self) -> None:
        self.move_rows(-max(self.page_rows() - 1, 1))


class Scrolling(Movement, Widget):
    """Movement without a cursor, over lines that are cut or wrapped to the width.

    It stands last among the bases of a pane, which has its looks from the first.
    """

    def move_rows(self, rows: int) -> None:
        if abs(rows) < FAR:
            self.scroll_relative(y=rows, animate=False)
        else:
            self.scroll_to(y=0 if rows < 0 else self.max_scroll_y, animate=False)

    def page_rows(self) -> int:
        return self.size.height

    def action_left(self) -> None:
        """Nothing stands to the left."""

    def action_right(self) -> None:
        """Nor to the right."""
