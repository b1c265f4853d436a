"""The field's reported failures, each as one scenario that every engine goes through."""
