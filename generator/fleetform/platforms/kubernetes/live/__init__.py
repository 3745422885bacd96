"""What a cluster holds, beside what is rendered: only `plan` and `gc` look there."""
