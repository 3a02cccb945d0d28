"""What seqtui costs, as ratios to other programs and to limits of the machine. `run.py` prints them."""
