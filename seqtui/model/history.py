"""What was done and what was undone, as values: undo is stepping back, and no inverse is ever written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from seqtui.model.edit import Edit
from seqtui.model.spec import ModelSpec


class Step(NamedTuple):
    """An edit and the model before it."""

    edit: Edit
    before: ModelSpec


@dataclass(frozen=True, slots=True)
class History:
    """A model and the way to it. Steps share every layer that they left alone."""

    model: ModelSpec
    done: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = ()
    """The last undone first; here `before` is the model after the edit."""

    def do(self, edit: Edit) -> History:
        """One step further, after which nothing can be redone. Raises EditError."""
        return History(edit.apply(self.model), (*self.done, Step(edit, self.model)))

    def undo(self) -> History:
        """One step back, or the same where nothing was done."""
        if not self.done:
            return self
        *done, step = self.done
        return History(step.before, tuple(done), (Step(step.edit, self.model), *self.undone))

    def redo(self) -> History:
        """The step last undone taken again, or the same where nothing was undone."""
        if not self.undone:
            return self
        step, *undone = self.undone
        return History(step.before, (*self.done, Step(step.edit, self.model)), tuple(undone))

    def back(self, edit: Edit, before: ModelSpec) -> History:
        """As an undo of an edit that came before all of these steps, and before which the model was `before`."""
        return History(before, self.done, (Step(edit, self.model), *self.undone))

    def forth(self, edit: Edit, after: ModelSpec) -> History:
        """As a redo of an edit that was undone before all of these steps, and after which the model was `after`."""
        return History(after, (*self.done, Step(edit, self.model)), self.undone)
