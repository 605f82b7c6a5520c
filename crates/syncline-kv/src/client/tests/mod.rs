//! Sessions, message by message.

mod hostile;
mod peer;
mod vectors;
