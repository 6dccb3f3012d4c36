"""Other services' clients, asked as they ask."""
