"""The linear recurrent unit: a complex number a unit, turned and shrunk: hₜ = λ ⊙ hₜ₋₁ + γ ⊙ B xₜ.

λ = exp(−exp ν + i exp φ), so that |λ| < 1 whatever is learned; ν, φ and log γ are learned. The
state is two real tensors, Re h and Im h; the output is Re h. It is affine in the state before, so
that `linear_scan` has all of time at once.

Source: Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu and De (2023), Resurrecting recurrent neural
networks for long sequences: λ begins uniform on a ring, B Glorot's, γ at √(1 − |λ|²).
Cost: 2HI weights and 3H numbers of the units' own, no (H, H) weights; autograd keeps four (B, H)
tensors a step, and nine of H numbers.
It cannot do more than filter: the paper puts what is not linear between layers, here is one layer.
Nor does the readout see Im h: the paper's complex C shifts phases for every output by itself, here
the phase of B does for all.
"""

import math

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State


class LRU(GatedCell):
    """Linear recurrent unit.

    λ begins with a modulus from `least_modulus` to `most_modulus`, evenly over the ring's area, and
    with a phase from 0 to `most_phase`.
    """

    parts = 2
    gates = 2  # Re B and Im B
    linear = True
    saved_step = 4.25  # a and the state; λ and γ add 9 numbers a unit, 0.28 at B = 32
    input_map = Affine("input.weight", None)
    hidden_map = None
    own = ("log_decay", "log_phase", "log_scale")  # ν, φ, log γ

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        least_modulus: float = 0.0,
        most_modulus: float = 1.0,
        most_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 <= least_modulus < most_modulus <= 1:
            given = f"least_modulus {least_modulus} and most_modulus {most_modulus}"
            raise ValueError(f"moduli must be rising, from 0 to 1, not {given}")
        if not 0 < most_phase <= 2 * math.pi:
            raise ValueError(f"most_phase must be above 0 and at most 2π, not {most_phase}")
        areas = torch.empty(hidden_size).uniform_(least_modulus**2, most_modulus**2)
        areas = areas.clamp(1e-6, 1 - 1e-6)  # finite logarithms; float32 draws 0 once in 2²⁴ times
        phases = torch.empty(hidden_size).uniform_(0, most_phase).clamp(min=1e-6)
        self.log_decay = nn.Parameter((-areas.log() / 2).log())
        self.log_phase = nn.Parameter(phases.log())
        self.log_scale = nn.Parameter((1 - areas).log() / 2)
        self.input = nn.Linear(input_size, 2 * hidden_size, bias=False)
        nn.init.normal_(self.input.weight, std=math.sqrt(1 / (2 * input_size)))

    def gate(self, a: Tensor, u: None, state: State) -> State:
        """Return (Re h, Im h)."""
        real, imaginary = self.multiplier()
        a_re, a_im = (self.log_scale.exp() * part for part in a.chunk(2, -1))
        h_re, h_im = state
        return real * h_re - imaginary * h_im + a_re, real * h_im + imaginary * h_re + a_im

    def local(self, a: Tensor, u: None, state: State) -> Local:
        """Return γ, λ as a rotation, and the derivatives by ν, φ and log γ."""
        real, imaginary = self.multiplier()
        scale = self.log_scale.exp()
        turned = torch.stack(self.gate(torch.zeros_like(a), None, state), -2)  # λ h, (..., 2, H)
        quarter = torch.stack([-turned[..., 1, :], turned[..., 0, :]], -2)  # i λ h
        by_own = [-self.log_decay.exp() * turned, self.log_phase.exp() * quarter]
        by_own.append(scale * torch.stack(a.chunk(2, -1), -2))
        rotation = torch.stack([real, -imaginary, imaginary, real]).view(2, 2, -1)
        lead = a.shape[:-1]
        by_input = torch.eye(2, dtype=a.dtype, device=a.device)[..., None] * scale
        return Local(
            by_input.expand(*lead, 2, 2, -1),
            None,
            rotation.expand(*lead, 2, 2, -1),
            torch.stack(by_own, -2),
        )

    def multiplier(self) -> tuple[Tensor, Tensor]:
        """Return Re λ and Im λ."""
        modulus, phase = (-self.log_decay.exp()).exp(), self.log_phase.exp()
        return modulus * phase.cos(), modulus * phase.sin()
