"""Weights in and out of other projects' formats: {path: array}, strict on both sides.

A format is a module with its names (`DIALECTS`), what its config.json tells (`facts`), and how its
project resamples positions (`ANTIALIAS`): hf (transformers), timm, mae (facebookresearch). The
text encoders of transformers stand in `text`. `published.read` recognises weights and reads them,
`fit.fitted` makes them fit a model, `export.write` goes the other way.
"""
