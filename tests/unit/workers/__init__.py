"""What worker processes are made of: their configuration, the instances that they keep, the limits that they hold."""
