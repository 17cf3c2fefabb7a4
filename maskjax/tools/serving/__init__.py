"""An exported model behind HTTP: requests in, batches through its programs, JSON out."""
