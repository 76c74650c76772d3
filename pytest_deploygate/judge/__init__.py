"""The process that decides and acts. It loads no code of the project, except what the settings name."""
