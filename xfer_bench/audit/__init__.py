"""What is wrong with the rows, found before anybody's numbers are: one file a check, and the audit that runs them."""
