"""What the parts that the service stands on can do at most here, measured bare: the figures of the service stand beside them."""
