"""One router per section of the contract; each parses, makes one engine call, shapes the answer."""
