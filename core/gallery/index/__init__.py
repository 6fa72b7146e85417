"""The nearest vectors by FAISS and exact re-ranking: a cache of what a store holds."""
