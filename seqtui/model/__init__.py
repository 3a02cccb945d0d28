"""The nouns: what a model is, as frozen values. Standard library only; no file, no screen and no torch here."""
