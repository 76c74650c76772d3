"""Calls of clients that nobody here wrote, each with what it promises; the page on them is made of these lists."""
