"""The table of actions: whoever it says does something does it."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

import pytest
from textual.dom import DOMNode

from seqtui.tui.actions import ACTIONS, Action, Deeds, Doer, Pane, method_name
from seqtui.tui.app import SeqtuiApp
from seqtui.tui.detail import LayerTab
from seqtui.tui.layer_table import LayerTable
from seqtui.tui.model_screen import ModelScreen
from seqtui.tui.tabs.code import CodeTab
from seqtui.tui.tabs.problems import ProblemsTab
from seqtui.tui.tabs.run import RunTab
from seqtui.tui.tabs.weights import WeightsTab
from seqtui.tui.value_grid import ValueGrid

PANES: dict[Pane, tuple[type[DOMNode], ...]] = {
    "app": (SeqtuiApp,),
    "everywhere": (ModelScreen,),
    "movement": (LayerTable, LayerTab, ValueGrid, RunTab, CodeTab, ProblemsTab),
    "table": (LayerTable,),
    "weights": (WeightsTab,),
    "run": (RunTab,),
    "code": (CodeTab,),
    "problems": (ProblemsTab,),
}


@pytest.mark.parametrize("doer", [doer for doer in get_args(Doer) if doer != "pane"])
def test_a_module_does_what_the_table_says_and_nothing_else(doer: str) -> None:
    deeds: Deeds = import_module(f"seqtui.tui.{doer}").DEEDS
    assert sorted(deeds) == sorted(action.id for action in ACTIONS if action.doer == doer)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.doer == "pane"], ids=lambda each: each.id)
def test_a_pane_does_what_its_keys_say(action: Action) -> None:
    name = method_name(action).partition("(")[0]
    assert [pane for pane in PANES[action.pane] if not hasattr(pane, f"action_{name}")] == []


def test_an_id_is_one_action_s() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(set(ids)) == len(ids)
