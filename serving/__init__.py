"""From a customer id to an answer: risk, value, stage, reasons, action; over HTTP, or for all customers at once."""
