"""What an environment's output consisted of, now and in Git's history, and what is kept as it was: holds."""
