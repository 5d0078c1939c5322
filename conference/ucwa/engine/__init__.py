"""What all UCWA views share: calls, resources, forms, refusals, batch."""
