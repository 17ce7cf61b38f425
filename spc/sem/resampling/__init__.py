"""Bootstrap draws of a fit, batched."""
