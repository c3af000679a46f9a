"""The ledger's secrets: the key that signs it and the keys that bodies are encrypted under."""
