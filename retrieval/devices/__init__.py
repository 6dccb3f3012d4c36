"""References on GPUs: a copy of each hot flora, or every reference once."""
