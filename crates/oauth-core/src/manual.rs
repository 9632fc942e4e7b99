//! Chapters for people who decide.
