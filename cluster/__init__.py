"""Search and bulk embedding on many machines with Ray. The only package that imports Ray, and only when configured."""
