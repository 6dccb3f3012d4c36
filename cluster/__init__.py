"""One installation on many machines: searching and embedding by way of Ray. The home of Ray, loaded only when asked."""
