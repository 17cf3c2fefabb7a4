"""Weights in and out of other projects' formats: {path: array}, strict on both sides.

A format is a module with its names (`DIALECTS`), what its config.json tells (`facts`), and how its
project resamples positions (`ANTIALIAS`): hf (transformers), timm, mae (facebookresearch).
`published.read` recognises one and reads it, `fit.fitted` makes it fit a model, `export.write` goes
the other way.
"""
