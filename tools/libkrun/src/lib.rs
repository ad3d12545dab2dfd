//! Exports the C interface of libkrun and nothing else.
pub use krun::*;
