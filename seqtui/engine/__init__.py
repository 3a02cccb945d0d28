"""Everything that needs torch. Importing a module here imports none; its functions do."""
