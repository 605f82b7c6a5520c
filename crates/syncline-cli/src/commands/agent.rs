//! A replica that runs.

use super::Context;
use crate::args::AgentArgs;
use crate::failure::{Code, Failure, Result};

pub async fn run(_context: &Context, _args: AgentArgs) -> Result<()> {
    Err(Failure::new(Code::Failure, "not there yet"))
}
