"""CIFAR-10: fully connected against convolutional networks."""
