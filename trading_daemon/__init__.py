"""The live process: tasks around one reducer."""
