"""Bridges to other libraries; each is optional and imported only by those who use it."""
