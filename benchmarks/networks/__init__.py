"""Library networks, each answer of the service compared with an independent reference."""
