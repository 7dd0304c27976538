"""From a company's tables to one row a customer: what was known, as of a date."""
