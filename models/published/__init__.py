"""The nine networks of Daroya et al. (IEEE JSTARS 2025), compatible key by key with their checkpoints.

`build(name)` gives a network that loads the published state dict strictly and computes the same masks; `fused.fuse`
makes a faster copy for inference on processors; `preparation` brings reflectance into the two input conventions these
networks were trained and run with.
"""

from models.published.build import build
from models.published.facts import FACTS, NAMES, TASKS, Facts, facts_of
from models.published.network import PublishedNetwork

__all__ = ["FACTS", "NAMES", "TASKS", "Facts", "PublishedNetwork", "build", "facts_of"]
