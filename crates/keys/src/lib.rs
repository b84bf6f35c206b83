//! Key material, algorithms, custody; the only exit of material
