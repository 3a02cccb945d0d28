"""The screens, on Textual: they show a Workspace and turn keys into wishes."""
