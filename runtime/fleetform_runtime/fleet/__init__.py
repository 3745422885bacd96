"""The page at the root of a host on which the agents behind that host are found."""
