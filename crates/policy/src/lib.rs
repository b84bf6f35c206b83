//! Release policies as pure functions over claims, each verdict with its explanation; makes Permit
