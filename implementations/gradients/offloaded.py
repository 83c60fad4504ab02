"""Full BPTT whose activations wait in the host's memory for the backward pass.

What autograd saves of a chunk of steps goes to pinned host memory and comes back when its turn
comes; weights, which every step saves again, stay where they are.

Source: Rhu, Gimelshein, Clemons, Zulfiqar and Keckler (2016), vDNN: virtualized deep neural
networks for scalable, memory-efficient neural network design; torch.autograd.graph.save_on_cpu,
which would move the weights as well.
Time: as full BPTT, and every activation twice across the bus. Memory: O(chunk) on the device, O(T)
on the host.
It cannot save anything on a device whose memory is the host's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from harness.contract import Batch, Carry, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape
from harness.drive import windows
from harness.model import Model, detach

Packed = tuple[torch.device | None, Tensor]  # where it came from; None: it did not move


@dataclass
class Offloaded(GradientMethod):
    """One graph of the whole sequence, kept on the host; `chunk` steps at a time leave."""

    chunk: int = 64

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk must be at least 1 step, not {self.chunk}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: activations travel, and come back as they were."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a model on the CPU."""
        if model.readout.weight.device.type != "cpu":
            return None
        return "the model is on the CPU, whose memory is where activations would be moved to"

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's work; on the device nothing is kept but the first and last state."""
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=2 * shape.state_bytes,
            sequential_depth=2 * shape.length,
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient of a graph whose tensors wait on the host."""
        weights = {param.untyped_storage().data_ptr() for param in model.parameters()}

        def leave(tensor: Tensor) -> Packed:
            stays = tensor.untyped_storage().data_ptr() in weights
            return (None, tensor) if stays else (tensor.device, on_host(tensor))

        state, losses = carry, []
        with saved_tensors_hooks(leave, back):
            for chunk in windows(window, self.chunk):
                hidden, state = model.roll(chunk.inputs, state, chunk.start, hook)
                losses.append(model.loss(hidden, chunk.targets, chunk.weights))
        del hidden  # the last chunk's, on the device
        return model.gradient_of(torch.stack(losses).sum()), detach(state)


def on_host(tensor: Tensor) -> Tensor:
    """Return a copy in host memory, pinned where the device can then copy by itself."""
    pinned = tensor.device.type == "cuda"
    copy = torch.empty_like(tensor, device="cpu", pin_memory=pinned)
    # Need not wait: what reads the copy, the way back, is queued on the device behind it.
    return copy.copy_(tensor, non_blocking=pinned)


def back(packed: Packed) -> Tensor:
    """Return the tensor on the device that it came from."""
    device, tensor = packed
    return tensor if device is None else tensor.to(device, non_blocking=True)
