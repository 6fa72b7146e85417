"""What a request carries, checked: parameters, bodies, headers."""
