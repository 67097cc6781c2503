"""Prints the numbers of `smoothing_agrees_with_pytorch` in src/kernel/cross_entropy.rs. Needs torch."""

import torch

logits = torch.tensor([[2.0, -1.0, 0.5], [0.3, 0.1, -0.7]], dtype=torch.float64, requires_grad=True)
loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2]), label_smoothing=0.1)
loss.backward()
print(repr(loss.item()), [repr(g) for g in logits.grad.flatten().tolist()])
