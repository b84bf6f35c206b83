//! RSA-OAEP + AES-KWP, both directions; shared by vault and TEE
