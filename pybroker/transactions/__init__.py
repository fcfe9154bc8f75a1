"""The notary: the transaction coordinator."""
