//! Drives the core: sockets, threads, one loop per shard, the gRPC service.
