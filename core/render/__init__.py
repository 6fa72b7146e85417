"""Every picture that goes out."""
