"""One meeting at a worker: connections, publications, viewers, speakers."""
