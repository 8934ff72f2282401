"""An HTTP server for one model: needs the extra `serve`."""
