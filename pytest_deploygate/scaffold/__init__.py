"""What ``deploygate init`` writes: looks at what a project has, and adds what is missing. Overwrites nothing."""
