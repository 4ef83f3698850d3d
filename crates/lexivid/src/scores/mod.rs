//! Probabilities per window -> one probability per video: pooling over time.
