"""What environments define: tasks and services, how they are changed, and how the API speaks of them."""
