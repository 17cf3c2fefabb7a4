"""What launchers call above the training loop: start-up, benchmarks, reports, pictures."""
