//! The DataFusion session over the store, with the alignment kernels as operators.
