"""What all endpoints of the REST API share: errors, access, pages by cursor."""
