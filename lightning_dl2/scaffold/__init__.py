"""Write a project of the user's own: `project/` is such a project, named digits."""
