//! Tests of authority: rules one by one, flaws that such systems had, and histories against a model.

mod chains;
mod flaws;
mod histories;
mod limits;
mod minting;
mod model;
mod questions;
mod revoking;
mod rotating;
mod world;
