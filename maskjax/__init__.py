"""Masked prediction in JAX: hide part of something and learn to predict it.

Letters of the shape annotations, the same in every module:

    B  batch                      L  positions (patches, tokens, frames, items)
    K  kept positions             M  masked positions (K + M = L)
    Q  queries                    S  keys that queries attend to
    D  width of a vector          V  vocabulary
    T  times (frames of a sound or a video)
    P  numbers in one patch (the product of the patch's sides and the channels)
    H  heads; beside W, the height of an image
    G  heads of keys, each of which serves H / G heads of queries
    W  width of an image          C  channels
    N  how many there are of what has no letter: examples of a whole split (features, labels),
       boxes, regions, entries of a table

`*b` and `*grid` are any number of axes, words (`tokens`, `targets`, `windows`) what they say. A
letter that means something else in one formula is explained beside it.
"""

__version__ = "0.1.0"
