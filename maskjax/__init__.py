"""Masked prediction in JAX: hide part of something and learn to predict it.

Letters of the shape annotations, the same in every module:

    B  batch            L  positions (patches, tokens, frames, items)
    K  kept positions   M  masked positions (K + M = L)
    D  width            H  heads            V  vocabulary
    P  numbers in one patch (the product of the patch's sides and the channels)
    C  channels         N  examples of a whole split (features, labels)
"""

__version__ = "0.1.0"
