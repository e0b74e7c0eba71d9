import torch

torch.set_num_threads(1)  # more cost time where tensors are small
