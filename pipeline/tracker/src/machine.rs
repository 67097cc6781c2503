//! Where a run was trained.

use crate::error::Error;
use crate::read::Reader;

impl Reader {
    /// The processor that a run was trained on, as its maker calls it; `None` where it is not known.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn cpu(&self, run_id: &str) -> Result<Option<String>, Error> {
        Ok(self.connection().query_row("SELECT cpu FROM run WHERE id = ?", [run_id], |r| r.get(0))?)
    }
}
