"""Full BPTT under another name: whatever it differs by from full BPTT is noise.

Source: Werbos (1990), Backpropagation through time: what it does and how to do it.
Time: full BPTT's. Memory: full BPTT's. It cannot be told from full BPTT.
"""

from dataclasses import dataclass

from harness.contract import GradientMethod
from implementations.gradients.full_bptt import FullBPTT


@dataclass
class Twin(FullBPTT, GradientMethod):
    """Inherits everything."""
