//! Members of a response that no standard defines.

use std::fmt;

use crate::value::{Map, Value};

/// The most memory that members not defined by a standard may take, in bytes.
pub(crate) const MAX_EXTRA: usize = 256 << 10;

/// Members of a reply that the standards do not define. `Debug` shows only names, because some servers put tokens there
/// too.
#[derive(Clone, Default)]
pub struct Extra(pub(crate) Map<String, Value>);

impl From<Map<String, Value>> for Extra {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl From<Extra> for Map<String, Value> {
    fn from(extra: Extra) -> Self {
        extra.0
    }
}

impl Extra {
    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All members.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl IntoIterator for Extra {
    type Item = (String, Value);
    type IntoIter = <Map<String, Value> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
