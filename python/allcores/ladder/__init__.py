"""One interface over every way to run a function over items, and what chooses among them."""
