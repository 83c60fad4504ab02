"""One thread for every test: on small tensors more of them only wait for one another."""

import torch

torch.set_num_threads(1)
