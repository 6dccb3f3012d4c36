"""Photos: uploads, downloads from other servers, and images for pages."""
