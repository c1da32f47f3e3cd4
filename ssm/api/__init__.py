"""The REST API: all endpoints under one door, with its errors, its limits and its description."""
