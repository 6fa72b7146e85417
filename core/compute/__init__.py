"""What can be seen in a picture: each question becomes work for one thread. Knows no gallery."""
