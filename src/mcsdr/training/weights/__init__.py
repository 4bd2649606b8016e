"""Other people's networks: `official` makes a model of what the MCSDR authors released, `published` starts an encoder
from a checkpoint, `torch_checkpoint` reads untrusted tensors in a child process that can make nothing else."""
