//! A PKCS#11 token: its sessions, what it really can do, and the keys that stay in it.
