"""What an agent remembers of its users: found again, shown, learned, deleted."""
