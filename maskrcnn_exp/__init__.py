"""maskrcnn-exp: train Mask R-CNN with all five losses in sight, and learn why the masks are bad."""

__version__ = "0.1.0"
