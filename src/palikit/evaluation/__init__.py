"""How good a model is: metrics as pure functions, and the validation of a training run."""
