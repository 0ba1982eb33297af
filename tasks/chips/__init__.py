"""Training chips from data sets of others and from OPERA's surface water product."""
