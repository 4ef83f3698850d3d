//! Label text -> states of a frozen language model.
