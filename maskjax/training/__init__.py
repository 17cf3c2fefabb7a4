"""Training: the only layer with side effects - files, devices, signals, the clock."""
