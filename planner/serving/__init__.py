"""A replica under load: steady state, queues, measured rates."""
