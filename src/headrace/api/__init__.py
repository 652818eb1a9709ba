"""The HTTP service: Operations as JSON over HTTP, with the words of docs/glossary.md."""
