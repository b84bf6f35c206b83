//! TEEs in software that sign under a root of their own; the same bytes, another anchor
