"""Recipes: what each new thing needs beside its row or model; a place that is forgotten is named here."""
