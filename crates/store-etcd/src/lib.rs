//! The storage model of `skerry-store` on etcd, spoken to over gRPC.
