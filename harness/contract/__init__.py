"""What a plugin promises: the four kinds of plugin, and the data that passes between them.

Tensor letters: T time, B batch, I input, H hidden, S state, O output; time comes first. The
weights of a whole sequence sum to 1, so losses and gradients of windows add up to those of the
sequence, however it is cut.
"""

from harness.contract.cells import Affine, Cell, GatedCell, Local
from harness.contract.clips import Clip
from harness.contract.cost import Cost, Shape
from harness.contract.data import Batch, Carry, Gradient, Gradients, Hook, State
from harness.contract.gradients import Claim, GradientMethod
from harness.contract.tasks import Draw, Split, Task, Trivial

__all__ = [
    "Affine",
    "Batch",
    "Carry",
    "Cell",
    "Claim",
    "Clip",
    "Cost",
    "Draw",
    "GatedCell",
    "Gradient",
    "GradientMethod",
    "Gradients",
    "Hook",
    "Local",
    "Shape",
    "Split",
    "State",
    "Task",
    "Trivial",
]
